// What the component exports, with the parameters of the canonical ABI: up to sixteen are given one by one, more lie in
// memory. names.mjs makes the names of the interfaces of these.
import { evaluateToolInvoke } from "./guard";
import { GuardContext, text } from "./security-guard";

export { cabi_realloc } from "./security-guard";

export function tool_invoke__evaluate(given: usize): usize {
  const name = text(load<usize>(given), load<usize>(given, 4));
  const args = text(load<usize>(given, 8), load<usize>(given, 12));
  return evaluateToolInvoke(name, args, new GuardContext(given + 16)).lowered();
}
