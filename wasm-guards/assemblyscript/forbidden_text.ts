// Refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
//
// The texts are the settings `in_arguments` and `in_descriptions`, compared without case in ASCII.
import { Decision, GuardContext, Tool, getConfig, log } from "./security-guard";

export const SCHEMA = `{"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}}`;

/** What is wrong with settings, null where nothing is. */
export function validate(settings: string): string | null {
  return settings.trim() == "{}" ? "nothing is forbidden" : null;
}

export function evaluateToolsList(tools: StaticArray<Tool>, _context: GuardContext): Decision {
  const text = forbidden("in_descriptions");
  if (text === null) return Decision.allow();
  for (let i = 0; i < tools.length; i++) {
    const description = tools[i].description;
    if (description !== null && holds(description, text)) return deny("A tool's description holds a forbidden text.");
  }
  return Decision.allow();
}

export function evaluateToolInvoke(toolName: string, args: string, _context: GuardContext): Decision {
  const text = forbidden("in_arguments");
  if (text === null || !holds(args, text)) return Decision.allow();
  log(2, "forbidden text in a call of " + toolName);
  return deny("An argument holds a forbidden text.");
}

function deny(message: string): Decision {
  return Decision.deny("forbidden_text", message);
}

// A setting that is a JSON string without escapes.
function forbidden(key: string): string | null {
  const json = getConfig(key);
  if (json === null) return null;
  let start = 0, end = json.length;
  while (start < end && json.charCodeAt(start) == 0x22) start++;
  while (end > start && json.charCodeAt(end - 1) == 0x22) end--;
  return json.substring(start, end);
}

function holds(text: string, forbidden: string): bool {
  const size = forbidden.length;
  if (size == 0) return false;
  for (let i = 0; i <= text.length - size; i++) {
    let same = 0;
    while (same < size && lower(text.charCodeAt(i + same)) == lower(forbidden.charCodeAt(same))) same++;
    if (same == size) return true;
  }
  return false;
}

function lower(code: i32): i32 {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}
