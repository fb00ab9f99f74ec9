// What the component exports, with the parameters of the canonical ABI: up to sixteen are given one by one, more lie in
// memory. names.mjs makes the names of the interfaces of these.
import { SCHEMA, evaluateToolInvoke, evaluateToolsList, validate } from "./forbidden_text";
import { GuardContext, lowerResult, lowerText, text, toolsAt } from "./security-guard";

export { cabi_realloc } from "./security-guard";

export function settings__schema(): usize {
  return lowerText(SCHEMA);
}

export function settings__validate(at: usize, size: usize): usize {
  return lowerResult(validate(text(at, size)));
}

export function tools_list__evaluate(
  tools: usize, count: i32,
  server: u32, serverSize: u32,
  hasTenant: u32, tenant: u32, tenantSize: u32,
  hasIdentity: u32, identity: u32, identitySize: u32,
  verified: u32, method: u32, methodSize: u32, metadata: u32, metadataSize: u32,
): usize {
  const context: StaticArray<u32> = [ // as a record of it lies in memory, where flags have a word each too
    server, serverSize, hasTenant, tenant, tenantSize, hasIdentity, identity, identitySize,
    verified, method, methodSize, metadata, metadataSize,
  ];
  return evaluateToolsList(toolsAt(tools, count), new GuardContext(changetype<usize>(context))).lowered();
}

export function tool_invoke__evaluate(given: usize): usize {
  const name = text(load<usize>(given), load<usize>(given, 4));
  const args = text(load<usize>(given, 8), load<usize>(given, 12));
  return evaluateToolInvoke(name, args, new GuardContext(given + 16)).lowered();
}
