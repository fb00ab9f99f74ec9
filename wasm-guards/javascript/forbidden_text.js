// Refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
//
// The texts are the settings `in_arguments` and `in_descriptions`, compared without case in ASCII.
import { getConfig, log } from 'mcp:security-guard/host@1.0.0';

const SCHEMA = `{"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}}`;

export const settings = {
  schema: () => SCHEMA,

  // What is thrown is the error of the answer.
  validate(given) {
    if (given.trim() === '{}') throw 'nothing is forbidden';
  },
};

export const toolsList = {
  evaluate(tools, context) {
    const forbidden = pattern('in_descriptions');
    const found = forbidden && tools.some(({ description }) => description !== null && forbidden.test(description));
    return found ? deny("A tool's description holds a forbidden text.") : { tag: 'allow' };
  },
};

export const toolInvoke = {
  evaluate(toolName, args, context) {
    if (!pattern('in_arguments')?.test(args)) return { tag: 'allow' };
    log(2, `forbidden text in a call of ${toolName}`);
    return deny('An argument holds a forbidden text.');
  },
};

function deny(message) {
  return { tag: 'deny', val: { code: 'forbidden_text', message, details: null } };
}

// A pattern for a setting that is a JSON string without escapes; null where it is not set or empty. `toLowerCase` and
// the flag `i` would fold letters beyond ASCII.
function pattern(key) {
  const forbidden = getConfig(key)?.replace(/^"+|"+$/g, '');
  if (!forbidden) return null;
  const either = (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`;
  return new RegExp(forbidden.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&').replace(/[a-z]/gi, either));
}
