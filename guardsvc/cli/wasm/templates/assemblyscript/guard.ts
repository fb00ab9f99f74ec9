// Refuses calls whose arguments hold a forbidden text.
import { Decision, GuardContext, log } from "./security-guard";

const FORBIDDEN = "/etc/passwd";

export function evaluateToolInvoke(toolName: string, args: string, context: GuardContext): Decision {
  if (!args.includes(FORBIDDEN)) return Decision.allow();
  log(2, "forbidden text in a call of " + toolName);
  return Decision.deny("forbidden_text", "An argument holds a forbidden text.");
}
