//! `compliance`: numbers of payment cards and bank accounts do not leave for servers that are not cleared for them.
//!
//! A call with one is refused unless its server is in the setting `cleared`; in results of such servers they are masked.
//! A card number has 13 to 19 digits, alone or in groups, the first digit of a card scheme and a right check digit (ISO/IEC
//! 7812); an IBAN has the length of its country or 15 to 34 characters and the remainder 1 by 97 (ISO 13616).

wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package guardsvc:compliance;

        world compliance {
            import mcp:security-guard/host@1.0.0;
            export mcp:security-guard/settings@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
            export mcp:security-guard/tool-result@1.0.0;
        }
    ",
});

mod numbers;

use exports::mcp::security_guard::{settings, tool_invoke, tool_result};
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext};
use numbers::{find, Kind};
use serde_json::{json, Value};

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{
"cleared":{"type":"array","items":{"type":"string","minLength":1}},"mask_results":{"type":"boolean"}}}"#;

struct Compliance;

impl settings::Guest for Compliance {
    fn schema() -> String {
        SCHEMA.to_string()
    }

    fn validate(_settings: String) -> Result<(), String> {
        Ok(())
    }
}

impl tool_invoke::Guest for Compliance {
    fn evaluate(_tool_name: String, arguments: String, context: GuardContext) -> Result<Decision, String> {
        let arguments: Value = serde_json::from_str(&arguments).map_err(|error| error.to_string())?;
        if is_cleared(&context.server_name) {
            return Ok(Decision::Allow);
        }
        let mut found = None;
        texts(&arguments, &mut |text| found = found.or(find(text).first().map(|number| number.kind)));
        Ok(match found {
            None => Decision::Allow,
            Some(kind) => Decision::Deny(DenyReason {
                code: kind.code().to_string(),
                message: "The server is not cleared for payment data.".to_string(),
                details: Some(json!({"standard": kind.standard()}).to_string()),
            }),
        })
    }
}

impl tool_result::Guest for Compliance {
    fn evaluate(_name: Option<String>, payload: String, context: GuardContext) -> Result<Decision, String> {
        let mut payload: Value = serde_json::from_str(&payload).map_err(|error| error.to_string())?;
        if setting("mask_results") == Some(Value::Bool(false)) || is_cleared(&context.server_name) {
            return Ok(Decision::Allow);
        }
        Ok(if mask(&mut payload) { Decision::Modify(payload.to_string()) } else { Decision::Allow })
    }
}

fn setting(key: &str) -> Option<Value> {
    serde_json::from_str(&host::get_config(key)?).ok()
}

fn is_cleared(server: &str) -> bool {
    matches!(setting("cleared"), Some(Value::Array(names)) if names.iter().any(|name| name == server))
}

/// All texts of a value, numbers as they are written, and keys.
fn texts(value: &Value, told: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => told(text),
        Value::Number(number) => told(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, told)),
        Value::Object(members) => members.iter().for_each(|(key, member)| {
            told(key);
            texts(member, told);
        }),
        _ => {}
    }
}

/// Masks what texts hold; whether there was anything.
fn mask(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let found = find(text);
            for number in found.iter().rev() {
                let last: String = text[number.start..number.end].chars().rev().take(4).collect();
                text.replace_range(number.start..number.end, &format!("****{}", last.chars().rev().collect::<String>()));
            }
            !found.is_empty()
        }
        Value::Number(number) if matches!(find(&number.to_string()).first(), Some(found) if found.kind == Kind::Card) => {
            *value = Value::String("****".to_string());
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| mask(item) | changed),
        Value::Object(members) => members.values_mut().fold(false, |changed, member| mask(member) | changed),
        _ => false,
    }
}

export!(Compliance);
