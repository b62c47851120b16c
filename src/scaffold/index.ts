export { type Answers, type Ask, askNobody, checkAnswer, collectAnswers, type Question, questions } from "./answers.js";
export { installJob } from "./install.js";
export { renderJob } from "./render.js";
export { findTemplate, listTemplates, type Template } from "./templates.js";
