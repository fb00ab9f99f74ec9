/* mcp:security-guard@1.0.0 for a guard in C, without a C library: include it in the one source file of the guard.
 *
 * The structures lie in memory as the canonical ABI has them, so that nothing is copied: a text is an address and a
 * length, an option a flag before its value. Every call has an instance of its own, which is why nothing is freed and
 * an answer may refer to what was passed. */
#ifndef SECURITY_GUARD_H
#define SECURITY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECURITY_GUARD(interface) "mcp:security-guard/" interface "@1.0.0"
#define EXPORT(interface, function) __attribute__((export_name(SECURITY_GUARD(interface) "#" function)))
#define IMPORT(interface, function) __attribute__((import_module(SECURITY_GUARD(interface)), import_name(function)))

typedef struct { const char *at; size_t size; } text;
typedef struct { bool there; text value; } maybe;
typedef struct { const text *at; size_t size; } texts;

#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

/* What is judged: the records of guard.wit. */
typedef struct {
  text name;
  maybe title, description;
  text input_schema;
  maybe output_schema, annotations, other_members;
} tool;

typedef struct {
  text server_name;
  maybe tenant, identity;
  bool verified;
  text method, metadata;
} context;

typedef enum { REQUEST, LISTING, ANSWER } __attribute__((packed)) stage;

typedef struct { const tool *at; size_t size; context context; } listing;
typedef struct { text tool_name, arguments; context context; } call;
typedef struct { maybe tool_name; text payload; context context; } result;
/* of prompts, resources, input requests and connections; the subject is a prompt's name or a resource's URI */
typedef struct { stage stage; maybe subject; text payload; context context; } message;

/* What is answered: result<decision, string>. */
typedef struct { text code, message; maybe details; } deny_reason;

typedef struct {
  enum { ALLOW, DENY, MODIFY, WARN } __attribute__((packed)) tag;
  union { deny_reason deny; text modify; texts warn; };
} decision;

typedef struct {
  bool failed;
  union { decision decision; text why; };
} answer;

static inline answer allow(void) { return (answer){0}; }
static inline answer deny(deny_reason reason) { return (answer){.decision = {.tag = DENY, .deny = reason}}; }
static inline answer modify(text json) { return (answer){.decision = {.tag = MODIFY, .modify = json}}; }
static inline answer warn(texts findings) { return (answer){.decision = {.tag = WARN, .warn = findings}}; }
static inline answer failed(text why) { return (answer){.failed = true, .why = why}; }

/* What the guard may call. */
IMPORT("host", "log") void host_log_(int32_t level, const char *at, size_t size);
IMPORT("host", "get-time") uint64_t host_get_time(void);
IMPORT("host", "get-metadata") void host_get_metadata_(const char *at, size_t size, maybe *value);
IMPORT("host", "get-config") void host_get_config_(const char *at, size_t size, maybe *value);

static inline void host_log(int level, text message) { host_log_(level, message.at, message.size); }
static inline maybe host_get_metadata(text key) {
  maybe value = {0};
  host_get_metadata_(key.at, key.size, &value);
  return value;
}
static inline maybe host_get_config(text key) {
  maybe value = {0};
  host_get_config_(key.at, key.size, &value);
  return value;
}

/* Room for what the host passes, by the name that it looks for, and for the guard itself. */
extern char __heap_base;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t was, size_t align, size_t size) {
  static char *top = &__heap_base;
  char *at = (char *)(((size_t)top + align - 1) & -align);
  size_t have = __builtin_wasm_memory_size(0) << 16;
  if (size > SIZE_MAX - 65535 - (size_t)at) __builtin_trap();
  if ((size_t)at + size > have && __builtin_wasm_memory_grow(0, ((size_t)at + size - have + 65535) >> 16) == (size_t)-1)
    __builtin_trap();
  top = at + size;
  if (was) __builtin_memcpy(at, old, was < size ? was : size);
  return at;
}

static inline char *room(size_t size) { return cabi_realloc(NULL, 0, 1, size); }

/* Each of these exports an interface, with the function of the guard that answers. */

/* text schema(void); maybe validate(text settings): what is wrong with them */
#define EXPORT_SETTINGS(schema, validate)                                                         \
  EXPORT("settings", "schema") const text *export_schema(void) {                                  \
    static text told;                                                                             \
    told = schema();                                                                              \
    return &told;                                                                                 \
  }                                                                                               \
  EXPORT("settings", "validate") const maybe *export_validate(const char *at, size_t size) {      \
    static maybe told;                                                                            \
    told = validate((text){at, size});                                                            \
    return &told;                                                                                 \
  }

#define EXPORT_TOOLS_LIST(judge) /* answer judge(const listing *given) */                         \
  EXPORT("tools-list", "evaluate") const answer *export_tools_list(                               \
      const tool *at, size_t size, CONTEXT_PARAMETERS) {                                          \
    static answer told;                                                                           \
    listing given = {at, size, CONTEXT_GIVEN};                                                    \
    told = judge(&given);                                                                         \
    return &told;                                                                                 \
  }

#define EXPORT_TOOL_INVOKE(judge) /* answer judge(const call *given) */                           \
  EXPORT_ONE("tool-invoke", export_tool_invoke, call, judge)
#define EXPORT_TOOL_RESULT(judge) /* answer judge(const result *given) */                         \
  EXPORT_ONE("tool-result", export_tool_result, result, judge)

/* answer judge(const message *given) */
#define EXPORT_PROMPT(judge) EXPORT_ONE("prompt", export_prompt, message, judge)
#define EXPORT_RESOURCE(judge) EXPORT_ONE("resource", export_resource, message, judge)
#define EXPORT_INPUT_REQUEST(judge) EXPORT_STAGED("input-request", export_input_request, judge)
#define EXPORT_CONNECTION(judge) EXPORT_STAGED("connection", export_connection, judge)

/* More than 16 values are passed as the address of a structure, fewer one by one. */
#define EXPORT_ONE(interface, name, type, judge)                                                  \
  EXPORT(interface, "evaluate") const answer *name(const type *given) {                           \
    static answer told;                                                                           \
    told = judge(given);                                                                          \
    return &told;                                                                                 \
  }
#define EXPORT_STAGED(interface, name, judge)                                                     \
  EXPORT(interface, "evaluate") const answer *name(                                               \
      int32_t at_stage, const char *payload, size_t payload_size, CONTEXT_PARAMETERS) {           \
    static answer told;                                                                           \
    message given = {(stage)at_stage, {0}, {payload, payload_size}, CONTEXT_GIVEN};               \
    told = judge(&given);                                                                         \
    return &told;                                                                                 \
  }
#define CONTEXT_PARAMETERS                                                                        \
  const char *server, size_t server_size, int32_t has_tenant, const char *tenant,                 \
      size_t tenant_size, int32_t has_identity, const char *identity, size_t identity_size,       \
      int32_t verified, const char *method, size_t method_size, const char *metadata,             \
      size_t metadata_size
#define CONTEXT_GIVEN                                                                             \
  {{server, server_size}, {has_tenant, {tenant, tenant_size}}, {has_identity, {identity, identity_size}}, \
   verified, {method, method_size}, {metadata, metadata_size}}

#endif
