// The contract mcp:security-guard@1.0.0 in AssemblyScript: what a guard is given, may call and answers.
//
// AssemblyScript knows no components, so the canonical ABI is written by hand: records lie in memory in the order and
// with the alignment of the WIT, a text is an address and a length, an option a flag before its value. Texts are
// decoded when they are asked for. What crosses the border lies in memory of its own, which is never freed: every call has
// a fresh instance. The interfaces kv and http would be further functions like those of host below.

@external("mcp:security-guard/host@1.0.0", "log")
declare function hostLog(level: i32, at: usize, size: usize): void;

@external("mcp:security-guard/host@1.0.0", "get-time")
declare function hostGetTime(): u64;

@external("mcp:security-guard/host@1.0.0", "get-metadata")
declare function hostGetMetadata(at: usize, size: usize, answer: usize): void;

@external("mcp:security-guard/host@1.0.0", "get-config")
declare function hostGetConfig(at: usize, size: usize, answer: usize): void;

/** 0 trace, 1 debug, 2 info, 3 warning, 4 error */
export function log(level: i32, message: string): void {
  const bytes = String.UTF8.encode(message);
  hostLog(level, changetype<usize>(bytes), bytes.byteLength);
}

/** When the call began, Unix milliseconds. */
export function getTime(): u64 {
  return hostGetTime();
}

/** What the gateway tells of the operation by key, null where it tells nothing. */
export function getMetadata(key: string): string | null {
  const bytes = String.UTF8.encode(key);
  const answer = heap.alloc(12);
  hostGetMetadata(changetype<usize>(bytes), bytes.byteLength, answer);
  return optionAt(answer);
}

/** JSON of one member of the settings, null where it is not set. */
export function getConfig(key: string): string | null {
  const bytes = String.UTF8.encode(key);
  const answer = heap.alloc(12);
  hostGetConfig(changetype<usize>(bytes), bytes.byteLength, answer);
  return optionAt(answer);
}

/** A tool as its server lists it. */
export class Tool {
  static readonly SIZE: usize = 76;

  constructor(private at: usize) {}

  get name(): string { return textAt(this.at); }
  get title(): string | null { return optionAt(this.at + 8); }
  get description(): string | null { return optionAt(this.at + 20); }
  /** JSON, like the three below it. */
  get inputSchema(): string { return textAt(this.at + 32); }
  get outputSchema(): string | null { return optionAt(this.at + 40); }
  get annotations(): string | null { return optionAt(this.at + 52); }
  get otherMembers(): string | null { return optionAt(this.at + 64); }
}

/** The tools of a list that lies at an address. */
export function toolsAt(at: usize, count: i32): StaticArray<Tool> {
  const tools = new StaticArray<Tool>(count);
  for (let i = 0; i < count; i++) tools[i] = new Tool(at + <usize>i * Tool.SIZE);
  return tools;
}

/** Which operation is judged, and for whom. */
export class GuardContext {
  static readonly SIZE: usize = 52;

  constructor(private at: usize) {}

  get serverName(): string { return textAt(this.at); }
  get tenant(): string | null { return optionAt(this.at + 8); }
  get identity(): string | null { return optionAt(this.at + 20); }
  get verified(): bool { return load<u8>(this.at + 32) != 0; }
  get method(): string { return textAt(this.at + 36); }
  /** JSON object of strings. */
  get metadata(): string { return textAt(this.at + 44); }
}

/** The answer of a guard. */
export class Decision {
  private constructor(private at: usize) {}

  static allow(): Decision {
    return Decision.of(0);
  }

  /** A code in snake_case and one sentence for the client; details are a JSON object. */
  static deny(code: string, message: string, details: string | null = null): Decision {
    const decision = Decision.of(1);
    putText(decision.at + 8, code);
    putText(decision.at + 16, message);
    if (details !== null) {
      store<u8>(decision.at + 24, 1);
      putText(decision.at + 28, details);
    }
    return decision;
  }

  /** JSON of what goes on in place of what was judged. */
  static modify(json: string): Decision {
    const decision = Decision.of(2);
    putText(decision.at + 8, json);
    return decision;
  }

  /** An allow with findings. */
  static warn(findings: string[]): Decision {
    const decision = Decision.of(3);
    const texts = heap.alloc(<usize>findings.length * 8);
    for (let i = 0; i < findings.length; i++) putText(texts + <usize>i * 8, findings[i]);
    store<usize>(decision.at + 8, texts);
    store<u32>(decision.at + 12, findings.length);
    return decision;
  }

  /** No verdict: the guard failed. */
  static failure(message: string): Decision {
    const decision = Decision.of(0);
    store<u8>(decision.at, 1);
    putText(decision.at + 4, message);
    return decision;
  }

  /** Address of the result<decision, string>. */
  lowered(): usize {
    return this.at;
  }

  private static of(tag: u8): Decision {
    const at = zeros(36);
    store<u8>(at + 4, tag);
    return new Decision(at);
  }
}

/** Address of a string that is answered. */
export function lowerText(text: string): usize {
  const at = heap.alloc(8);
  putText(at, text);
  return at;
}

/** Address of a result<_, string>, whose error is null where there is none. */
export function lowerResult(error: string | null): usize {
  const at = zeros(12);
  if (error !== null) {
    store<u8>(at, 1);
    putText(at + 4, error);
  }
  return at;
}

/** The text of which address and length are given. */
export function text(at: usize, size: usize): string {
  return String.UTF8.decodeUnsafe(at, size);
}

function textAt(at: usize): string {
  return text(load<usize>(at), load<usize>(at + 4));
}

function optionAt(at: usize): string | null {
  return load<u8>(at) ? textAt(at + 4) : null;
}

function putText(at: usize, value: string): void {
  const size = String.UTF8.byteLength(value);
  const bytes = heap.alloc(size);
  String.UTF8.encodeUnsafe(changetype<usize>(value), value.length, bytes);
  store<usize>(at, bytes);
  store<u32>(at + 4, size);
}

function zeros(size: usize): usize {
  const at = heap.alloc(size);
  memory.fill(at, 0, size);
  return at;
}

/** Room for what the host writes. */
export function cabi_realloc(old: usize, was: usize, align: usize, size: usize): usize {
  const at = heap.alloc(size);
  memory.copy(at, old, min(was, size));
  return at;
}

/** What asc calls instead of an import where a program gives up. */
export function abort(_message: usize, _file: usize, _line: u32, _column: u32): void {
  unreachable();
}
