import { buildJob, loadJob } from "../../jobs/index.js";
import { jobFlags, KlioCommand } from "../../ui/klio-command.js";

export default class JobBuild extends KlioCommand {
  static override summary = "Compile a job's TypeScript and resolve its configuration into .klio/build.";
  static override description = "`klio-runtime run .klio/build` runs what it writes. `klio job run` builds by itself.";
  static override examples = [
    "<%= config.bin %> job build",
    "<%= config.bin %> job build --job-dir my-job --override job_config.delivery.attempts=3",
  ];
  static override flags = jobFlags;

  async run(): Promise<{ job: string; directory: string; files: readonly string[] }> {
    const { flags } = await this.parse(JobBuild);
    const job = loadJob(this.jobOptions(flags));
    this.tellWarnings(job);
    const built = await buildJob(job, this.assets.runtime);
    this.log(`built ${job.config.job_name}: ${built.files.length} file(s) in ${built.directory}`);
    return { job: job.config.job_name, directory: built.directory, files: built.files };
  }
}
