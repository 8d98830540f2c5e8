//! JSON text that JSONB can hold: without NUL characters and without surrogates that stand alone.

/// A text that was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    /// The new text.
    pub text: String,
    /// NULs taken out.
    pub nuls: usize,
    /// Lone surrogates that became U+FFFD.
    pub surrogates: usize,
}

/// The text without `\u0000`, and with U+FFFD for each surrogate that has no partner; `None` when it has neither. Everything
/// else stays byte for byte: an escaped backslash before `u0000` is no escape of NUL.
pub fn mended(text: &str) -> Option<Mended> {
    replaced(text, "", "\\ufffd")
}

/// The same with a mark in every place: keys that differ only in what is taken out still differ.
pub fn marked(text: &str, mark: &str) -> Option<Mended> {
    replaced(text, mark, mark)
}

fn replaced(text: &str, for_nul: &str, for_surrogate: &str) -> Option<Mended> {
    let bytes = text.as_bytes();
    let mut mended = Mended { text: String::with_capacity(text.len()), nuls: 0, surrogates: 0 };
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let escape = at + found;
        let Some(unit) = unit(bytes, escape) else {
            // Some other escape: two bytes, or the end of a broken text.
            at = (escape + 2).min(bytes.len());
            continue;
        };
        at = escape + 6;
        let instead = match unit {
            0 => {
                mended.nuls += 1;
                for_nul
            }
            0xd800..=0xdbff if matches!(self::unit(bytes, at), Some(0xdc00..=0xdfff)) => {
                at += 6;
                continue;
            }
            0xd800..=0xdfff => {
                mended.surrogates += 1;
                for_surrogate
            }
            _ => continue,
        };
        mended.text.push_str(&text[copied..escape]);
        mended.text.push_str(instead);
        copied = at;
    }
    mended.text.push_str(&text[copied..]);
    (mended.nuls + mended.surrogates > 0).then_some(mended)
}

/// The UTF-16 unit of the escape `\uXXXX` at a place, if there is one.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_jsonb_refuses_goes() {
        for (text, after) in [
            (r#"{"a":"x\u0000y"}"#, Some(r#"{"a":"xy"}"#)),
            (r#"{"\u0000":1}"#, Some(r#"{"":1}"#)),
            (r#"["\\u0000"]"#, None),
            (r#"["\\\u0000"]"#, Some(r#"["\\"]"#)),
            (r#"["\ud83d\ude00"]"#, None),
            (r#"["\ud83d"]"#, Some(r#"["\ufffd"]"#)),
            (r#"["\ude00\ud83d\ude00"]"#, Some(r#"["\ufffd\ud83d\ude00"]"#)),
            (r#"["\ud83dx\u0000\uDC00"]"#, Some(r#"["\ufffdx\ufffd"]"#)),
            (r#"["\u00e9 é 1.10 2e5"]"#, None),
            (r#"["\"#, None),
        ] {
            assert_eq!(mended(text).map(|mended| mended.text).as_deref(), after, "{text}");
        }
    }

    proptest! {
        #[test]
        fn mending_twice_changes_nothing(text in r#"(\\\\|\\u0000|\\ud83d|\\ude00|[a-zé]){0,12}"#) {
            if let Some(once) = mended(&text) {
                prop_assert_eq!(mended(&once.text), None);
            }
        }
    }
}
