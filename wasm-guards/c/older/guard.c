/* A guard in the three shapes that there were before version 1.0.0 (-DSHAPE=1, 2 or 6: how many functions it has).
 *
 * Freestanding, with the canonical ABI written by hand: texts are an address and a length, options a flag before them,
 * an answer is the address of a result<decision, string>. What the host passes is put where cabi_realloc says. */
#include <stddef.h>
#include <stdint.h>

#if SHAPE == 1
#define PACKAGE "mcp:security-guard/"
#define VERSION ""
#else
#define PACKAGE "mcp:security-guard/"
#define VERSION "@0.1.0"
#endif
#define EXPORT(name) __attribute__((export_name(PACKAGE "guard" VERSION "#" name)))
#define IMPORT(name) __attribute__((import_module(PACKAGE "host" VERSION), import_name(name)))

IMPORT("log") void host_log(int32_t level, const char *text, size_t size);

extern char __heap_base;
static char *top = &__heap_base;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t was, size_t align, size_t size) {
  (void)align;
  char *at = (char *)(((size_t)top + 15) & ~(size_t)15);
  top = at + size;
  size_t have = __builtin_wasm_memory_size(0) << 16;
  if ((size_t)top > have && __builtin_wasm_memory_grow(0, ((size_t)top - have + 65535) >> 16) == (size_t)-1)
    __builtin_trap();
  for (size_t i = 0; i < was && i < size; i++) at[i] = ((char *)old)[i];
  return at;
}

typedef struct { const char *at; size_t size; } text;
typedef struct { int32_t there; text value; } maybe;
typedef struct { text name; maybe description; text input_schema; } tool;
typedef struct { uint8_t is_error; uint8_t pad[3]; uint8_t decision; uint8_t pad2[3]; text first, second; maybe details; } answer;

static answer told;
static const text NONE = {0, 0};
#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

static answer *decided(uint8_t decision, text first, text second) {
  told = (answer){.decision = decision, .first = first, .second = second};
  return &told;
}
static answer *allow(void) { return decided(0, NONE, NONE); }
static answer *deny(text code, text message) { return decided(1, code, message); }

static int holds(text in, text what) {
  for (size_t i = 0; i + what.size <= in.size; i++) {
    size_t j = 0;
    for (; j < what.size; j++) {
      char c = in.at[i + j];
      if (c >= 'A' && c <= 'Z') c += 32;
      if (c != what.at[j]) break;
    }
    if (j == what.size) return 1;
  }
  return 0;
}

#if SHAPE == 6
#define FLAT_CONTEXT const char *s, size_t sl, int32_t hu, const char *u, size_t ul, int32_t hi, const char *i, size_t il, const char *m, size_t ml
#define SERVER ((text){s, sl}); (void)hu; (void)u; (void)ul; (void)hi; (void)i; (void)il; (void)m; (void)ml
#else
#define FLAT_CONTEXT const char *s, size_t sl, int32_t hi, const char *i, size_t il, const char *m, size_t ml
#define SERVER ((text){s, sl}); (void)hi; (void)i; (void)il; (void)m; (void)ml
#endif

EXPORT("evaluate-tools-list") answer *evaluate_tools_list(tool *tools, size_t count, FLAT_CONTEXT) {
  text server = SERVER;
  host_log(1, server.at, server.size);
  for (size_t n = 0; n < count; n++)
    if (tools[n].description.there && holds(tools[n].description.value, TEXT("ignore previous instructions")))
      return deny(TEXT("Blocked-Pattern"), TEXT("A description holds a forbidden text."));
  return allow();
}

#if SHAPE >= 2
EXPORT("evaluate-tool-invoke") answer *evaluate_tool_invoke(const char *t, size_t tl, const char *a, size_t al, FLAT_CONTEXT) {
  text server = SERVER;
  (void)server, (void)t, (void)tl;
  if (holds((text){a, al}, TEXT("/etc/passwd")))
    return deny(TEXT("blocked_pattern"), TEXT("An argument holds a forbidden text."));
  return allow();
}
#endif

#if SHAPE == 6
IMPORT("get-config") void host_get_config(const char *key, size_t size, text *told);

EXPORT("evaluate-response") answer *evaluate_response(const char *r, size_t rl, FLAT_CONTEXT) {
  text server = SERVER;
  (void)server;
  text word;
  host_get_config("word", 4, &word); /* JSON: a string in quotes */
  if (word.size > 2 && holds((text){r, rl}, (text){word.at + 1, word.size - 2}))
    return decided(2, TEXT("{\"content\":[{\"type\":\"text\",\"text\":\"[removed]\"}]}"), NONE);
  return allow();
}

static text warnings[1];

EXPORT("evaluate-server-connection") answer *evaluate_server_connection(FLAT_CONTEXT) {
  text server = SERVER;
  if (server.size) return allow();
  warnings[0] = TEXT("the server has no name");
  return decided(3, (text){(const char *)warnings, 1}, NONE);
}

static text returned;

EXPORT("get-settings-schema") text *get_settings_schema(void) {
  returned = TEXT("{\"type\":\"object\",\"properties\":{\"word\":{\"type\":\"string\",\"minLength\":3}}}");
  return &returned;
}

EXPORT("get-default-config") text *get_default_config(void) {
  returned = TEXT("{\"word\":\"classified\"}");
  return &returned;
}
#endif
