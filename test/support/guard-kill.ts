const kill = process.kill.bind(process);

/** Refuses what kill(2) takes for more than one process, or for init: the id of a process that was not found is easily 0. */
process.kill = (pid, signal) => {
  if (signal !== 0 && (!Number.isInteger(pid) || pid === 0 || Math.abs(pid) === 1)) {
    throw new Error(`a test wanted to send ${String(signal)} to ${pid}`);
  }
  return kill(pid, signal);
};
