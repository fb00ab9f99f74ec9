//! `custom-patterns`: texts that a team looks for in calls, results and lists of tools, from a list renewed each week.
//!
//! The list is `patterns.txt`, built into the component, so that what is signed and pinned is what is looked for; the
//! setting `patterns` adds some until the next list. One that is older than the setting `max_age_days` (14) is still
//! used, and says so by a warning with every decision.

wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package guardsvc:custom-patterns;

        world custom-patterns {
            import mcp:security-guard/host@1.0.0;
            export mcp:security-guard/settings@1.0.0;
            export mcp:security-guard/tools-list@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
            export mcp:security-guard/tool-result@1.0.0;
        }
    ",
});

mod list;

use exports::mcp::security_guard::{settings, tool_invoke, tool_result, tools_list};
use list::{folded, List};
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext, Tool};
use serde_json::{json, Value};

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{
"patterns":{"type":"object","maxProperties":200,"propertyNames":{"pattern":"^[a-z][a-z0-9_]{0,63}$"},
"additionalProperties":{"type":"string","minLength":3,"maxLength":200}},
"max_age_days":{"type":"integer","minimum":1}}}"#;
const DAY: u64 = 86_400_000;

struct CustomPatterns;

impl settings::Guest for CustomPatterns {
    fn schema() -> String {
        SCHEMA.to_string()
    }

    fn validate(settings: String) -> Result<(), String> {
        let settings: Value = serde_json::from_str(&settings).map_err(|error| error.to_string())?;
        let added = settings.get("patterns").and_then(Value::as_object);
        for (id, text) in added.into_iter().flatten() {
            if text.as_str().is_none_or(|text| list::pieces(text).is_empty()) {
                return Err(format!("the pattern {id} looks for nothing"));
            }
        }
        Ok(())
    }
}

impl tools_list::Guest for CustomPatterns {
    fn evaluate(tools: Vec<Tool>, _context: GuardContext) -> Result<Decision, String> {
        Ok(judged(|look| {
            for tool in &tools {
                look(&tool.name);
                for text in [&tool.title, &tool.description].into_iter().flatten() {
                    look(text);
                }
                for json in [Some(&tool.input_schema), tool.annotations.as_ref()].into_iter().flatten() {
                    serde_json::from_str(json).iter().for_each(|value| texts(value, look));
                }
            }
        }))
    }
}

impl tool_invoke::Guest for CustomPatterns {
    fn evaluate(_tool_name: String, arguments: String, _context: GuardContext) -> Result<Decision, String> {
        let arguments: Value = serde_json::from_str(&arguments).map_err(|error| error.to_string())?;
        Ok(judged(|look| texts(&arguments, look)))
    }
}

impl tool_result::Guest for CustomPatterns {
    fn evaluate(_name: Option<String>, payload: String, _context: GuardContext) -> Result<Decision, String> {
        let payload: Value = serde_json::from_str(&payload).map_err(|error| error.to_string())?;
        Ok(judged(|look| texts(&payload, look)))
    }
}

fn judged(walk: impl FnOnce(&mut dyn FnMut(&str))) -> Decision {
    let added: Value = host::get_config("patterns").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let list = List::of(include_str!("../patterns.txt"), &added);
    let mut found: Option<String> = None;
    walk(&mut |text| {
        if found.is_none() {
            found = list.first(&folded(text)).map(str::to_string);
        }
    });
    match found {
        Some(id) => Decision::Deny(DenyReason {
            code: "custom_pattern".to_string(),
            message: "A text that is looked for was found.".to_string(),
            details: Some(json!({"pattern": id, "list": list.day}).to_string()),
        }),
        None if is_old(&list) => Decision::Warn(vec![format!("the list of patterns is of {}", list.day)]),
        None => Decision::Allow,
    }
}

fn is_old(list: &List) -> bool {
    let days = host::get_config("max_age_days").and_then(|text| text.parse().ok()).unwrap_or(14);
    list.made_in_days().is_some_and(|made| host::get_time() / DAY > made + days)
}

fn texts(value: &Value, told: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => told(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, told)),
        Value::Object(members) => members.iter().for_each(|(key, member)| {
            told(key);
            texts(member, told);
        }),
        _ => {}
    }
}

export!(CustomPatterns);
