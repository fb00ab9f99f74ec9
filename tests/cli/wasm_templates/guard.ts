// Answers by the name of the tool: see test_wasm_templates.py.
import { Decision, GuardContext, getMetadata, getTime } from "./security-guard";

export function evaluateToolInvoke(toolName: string, _args: string, context: GuardContext): Decision {
  if (toolName == "modify") return Decision.modify('{"path":"é"}');
  if (toolName == "fail") return Decision.failure("no é");
  if (toolName == "deny") return Decision.deny("probed", "No é.", '{"why":"é"}');
  if (toolName == "warn") {
    return Decision.warn([
      context.serverName, orNone(context.tenant), orNone(context.identity),
      context.verified ? "verified" : "not verified", context.method,
      orNone(getMetadata("subject")), orNone(getMetadata("nothing")),
      getTime() > 1600000000000 ? "after 2020" : "before",
    ]);
  }
  return Decision.allow();
}

function orNone(text: string | null): string {
  return text === null ? "none" : text;
}
