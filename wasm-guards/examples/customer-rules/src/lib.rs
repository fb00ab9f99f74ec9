//! `customer-rules`: each tenant's own rules about calls of tools, in one guard.
//!
//! The setting `tenants` has a list of rules for each tenant, and `*` for those that have none. A rule is about tools by
//! name (`*` at the end is any rest) and either refuses them (`forbid`) or looks at one argument, by JSON pointer:
//! `at_most` a number, `one_of` values, `prefix` of a text, `required`. The first rule that is broken is the reason.

wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package guardsvc:customer-rules;

        world customer-rules {
            import mcp:security-guard/host@1.0.0;
            export mcp:security-guard/settings@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
        }
    ",
});

use exports::mcp::security_guard::{settings, tool_invoke};
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext};
use serde_json::{json, Map, Value};

const SCHEMA: &str = r##"{"type":"object","additionalProperties":false,"required":["tenants"],"properties":{"tenants":
{"type":"object","additionalProperties":{"type":"array","maxItems":200,"items":{"type":"object",
"additionalProperties":false,"required":["id","tool"],"properties":{
"id":{"type":"string","pattern":"^[a-z][a-z0-9_]{0,47}$"},"tool":{"type":"string","minLength":1},
"forbid":{"const":true},"argument":{"type":"string","pattern":"^/"},"at_most":{"type":"number"},
"one_of":{"type":"array","minItems":1},"prefix":{"type":"string","minLength":1},"required":{"const":true}},
"oneOf":[{"required":["forbid"]},{"required":["argument"],"anyOf":[{"required":["at_most"]},{"required":["one_of"]},
{"required":["prefix"]},{"required":["required"]}]}]}}}}}"##;

struct CustomerRules;

impl settings::Guest for CustomerRules {
    fn schema() -> String {
        SCHEMA.to_string()
    }

    fn validate(_settings: String) -> Result<(), String> {
        Ok(())
    }
}

impl tool_invoke::Guest for CustomerRules {
    fn evaluate(tool_name: String, arguments: String, context: GuardContext) -> Result<Decision, String> {
        let tenants: Value = host::get_config("tenants")
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or("no rules")?;
        let rules = context.tenant.as_deref().and_then(|tenant| tenants.get(tenant)).or(tenants.get("*"));
        let Some(Value::Array(rules)) = rules else {
            return Ok(Decision::Allow);
        };
        let arguments: Value = serde_json::from_str(&arguments).map_err(|error| error.to_string())?;
        let broken = rules
            .iter()
            .filter_map(Value::as_object)
            .filter(|rule| fits(rule["tool"].as_str().unwrap_or_default(), &tool_name))
            .find(|rule| is_broken(rule, &arguments));
        Ok(broken.map_or(Decision::Allow, denied))
    }
}

fn denied(rule: &Map<String, Value>) -> Decision {
    Decision::Deny(DenyReason {
        code: "customer_rule".to_string(),
        message: "A rule of your organisation does not allow this call.".to_string(),
        details: Some(json!({"rule": rule["id"]}).to_string()),
    })
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// A value of another type than the rule is about breaks it; one that is not there only where it is required.
fn is_broken(rule: &Map<String, Value>, arguments: &Value) -> bool {
    let Some(pointer) = rule.get("argument").and_then(Value::as_str) else {
        return rule.contains_key("forbid");
    };
    let Some(value) = arguments.pointer(pointer) else {
        return rule.contains_key("required");
    };
    let at_most = rule.get("at_most").and_then(Value::as_f64);
    let prefix = rule.get("prefix").and_then(Value::as_str);
    at_most.is_some_and(|most| !value.as_f64().is_some_and(|number| number <= most))
        || prefix.is_some_and(|start| !value.as_str().is_some_and(|text| text.starts_with(start)))
        || rule.get("one_of").and_then(Value::as_array).is_some_and(|values| !values.contains(value))
}

export!(CustomerRules);
