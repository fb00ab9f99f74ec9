//! The list, and how its patterns are found: in time linear in the text, for each pattern.

use serde_json::Value;

/// Characters that `*` may stand for, at most.
const GAP: usize = 80;

pub struct List<'a> {
    pub day: &'a str,
    patterns: Vec<(&'a str, Vec<String>)>,
}

impl<'a> List<'a> {
    pub fn of(text: &'a str, added: &'a Value) -> Self {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let day = lines.next().unwrap_or_default();
        let built_in = lines.filter_map(|line| line.split_once(char::is_whitespace));
        let members = added.as_object().into_iter().flatten();
        let given = members.filter_map(|(id, text)| Some((id.as_str(), text.as_str()?)));
        let patterns = built_in.chain(given).map(|(id, text)| (id, pieces(text))).collect();
        List { day, patterns }
    }

    /// Id of the first pattern that a folded text holds.
    pub fn first(&self, text: &str) -> Option<&'a str> {
        self.patterns.iter().find(|(_, pieces)| holds(text, pieces)).map(|(id, _)| *id)
    }

    /// When it was made, in days since 1970.
    pub fn made_in_days(&self) -> Option<u64> {
        let mut parts = self.day.splitn(3, '-').map(|part| part.parse::<u64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        // Years that begin in March, so that the leap day is the last one.
        let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
    }
}

/// Text in lower case, each run of white space as one space.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        let space = character.is_whitespace();
        if !space {
            folded.push(character);
        } else if !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded
}

/// What stands between the `*` of a pattern.
pub fn pieces(pattern: &str) -> Vec<String> {
    pattern.split('*').map(|piece| folded(piece.trim())).filter(|piece| !piece.is_empty()).collect()
}

/// Whether a text holds the pieces in order, each at most `GAP` characters behind the one before.
///
/// A place of a piece counts where the nearest end before it is near enough; the others are forgotten.
fn holds(text: &str, pieces: &[String]) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return false;
    };
    let mut ends: Vec<usize> = text.match_indices(first.as_str()).map(|(at, _)| at + first.len()).collect();
    for piece in rest {
        let places: Vec<usize> = text.match_indices(piece.as_str()).map(|(at, _)| at).collect();
        let mut next = 0;
        ends = places
            .into_iter()
            .filter(|place| {
                while next + 1 < ends.len() && ends[next + 1] <= *place {
                    next += 1;
                }
                ends.get(next).is_some_and(|end| end <= place && place - end <= GAP)
            })
            .map(|place| place + piece.len())
            .collect();
    }
    !ends.is_empty()
}
