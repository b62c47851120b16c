export { type Ask, askNobody, type Collected, collectAnswers, type Given } from "./answers.js";
export { installJob } from "./install.js";
export { type Answers, checkAnswer, isTrue, optionQuestions, type Question, templateQuestions } from "./questions.js";
export { type RenderedFile, renderJob } from "./render.js";
export { findTemplate, listTemplates, type Template } from "./templates.js";
export { drawTree } from "./tree.js";
export { planWrite, refuseFilled, writeJob, type WritePlan } from "./write.js";
