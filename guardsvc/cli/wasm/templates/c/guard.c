/* Refuses calls whose arguments hold a forbidden text.
 *
 * Without a C library, and with the canonical ABI written by hand: what evaluate is given lies in memory, in the order
 * and with the alignment of the WIT records; a text is an address and a length, an option a flag before its value, and
 * the answer is the address of a result<decision, string>. The host asks cabi_realloc for room. Every call has a fresh
 * instance, so nothing is ever freed. */
#include <stddef.h>
#include <stdint.h>

typedef struct { const char *at; size_t size; } text;
typedef struct { uint8_t there; text value; } maybe;

typedef struct {
  text tool_name, arguments;
  struct {
    text server_name;
    maybe tenant, identity;
    uint8_t verified;
    text method, metadata;
  } context;
} call;

typedef struct {
  uint8_t is_error;
  struct {
    uint8_t tag; /* 0 allow, 1 deny, 2 modify, 3 warn */
    text code, message;
    maybe details;
  } __attribute__((aligned(4))) decision;
} answer;

__attribute__((import_module("mcp:security-guard/host@1.0.0"), import_name("log")))
void host_log(int32_t level, const char *at, size_t size);

#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

extern char __heap_base;
static char *top = &__heap_base;

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t was, size_t align, size_t size) {
  (void)align;
  char *at = (char *)(((size_t)top + 15) & ~(size_t)15);
  top = at + size;
  size_t have = __builtin_wasm_memory_size(0) << 16;
  if ((size_t)top > have && __builtin_wasm_memory_grow(0, ((size_t)top - have + 65535) >> 16) == (size_t)-1)
    __builtin_trap();
  for (size_t i = 0; i < was && i < size; i++) at[i] = ((char *)old)[i];
  return at;
}

static int holds(text in, text what) {
  for (size_t i = 0; i + what.size <= in.size; i++) {
    size_t j = 0;
    while (j < what.size && in.at[i + j] == what.at[j]) j++;
    if (j == what.size) return 1;
  }
  return 0;
}

static answer told;

__attribute__((export_name("mcp:security-guard/tool-invoke@1.0.0#evaluate")))
answer *evaluate(const call *given) {
  if (!holds(given->arguments, TEXT("/etc/passwd"))) return &told;
  text line = TEXT("forbidden text in a call");
  host_log(2, line.at, line.size);
  told.decision.tag = 1;
  told.decision.code = TEXT("forbidden_text");
  told.decision.message = TEXT("An argument holds a forbidden text.");
  return &told;
}
