//! Card numbers and IBANs in a text, in one pass over runs of letters, digits and single separators.

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Card,
    Account,
}

impl Kind {
    pub fn code(self) -> &'static str {
        if self == Kind::Card { "card_number" } else { "account_number" }
    }

    pub fn standard(self) -> &'static str {
        if self == Kind::Card { "PCI DSS 3" } else { "ISO 13616" }
    }
}

pub struct Found {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

const LONGEST: usize = 64;

/// What a text holds, in order, nothing twice.
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = bytes[at].is_ascii_alphanumeric() && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        match if begins { number_at(bytes, at) } else { None } {
            Some((kind, end)) => {
                found.push(Found { kind, start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// The longest number that begins here and ends with a word: groups may be apart by one space or hyphen.
fn number_at(bytes: &[u8], start: usize) -> Option<(Kind, usize)> {
    let card = bytes[start].is_ascii_digit();
    let mut characters: Vec<u8> = Vec::with_capacity(34);
    let mut best = None;
    let mut at = start;
    while at < bytes.len() && at - start < LONGEST && characters.len() < 34 {
        let byte = bytes[at];
        if byte.is_ascii_digit() || (!card && byte.is_ascii_alphanumeric()) {
            characters.push(byte.to_ascii_uppercase());
            let ends = bytes.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric());
            if ends && if card { is_card(&characters) } else { is_account(&characters) } {
                best = Some((if card { Kind::Card } else { Kind::Account }, at + 1));
            }
        } else if !((byte == b' ' || byte == b'-') && bytes[at - 1].is_ascii_alphanumeric()) {
            break;
        }
        at += 1;
    }
    best
}

fn is_card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) || !matches!(digits[0], b'2'..=b'6') {
        return false;
    }
    let total: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit - b'0') * if index % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    total % 10 == 0 && digits.iter().any(|digit| *digit != digits[0])
}

fn is_account(characters: &[u8]) -> bool {
    if !(15..=34).contains(&characters.len())
        || !characters[..2].iter().all(u8::is_ascii_uppercase)
        || !characters[2..4].iter().all(u8::is_ascii_digit)
    {
        return false;
    }
    let rotated = characters[4..].iter().chain(&characters[..4]);
    let remainder = rotated.fold(0u32, |rest, character| match character {
        b'0'..=b'9' => (rest * 10 + u32::from(character - b'0')) % 97,
        _ => (rest * 100 + u32::from(character - b'A') + 10) % 97,
    });
    remainder == 1
}
