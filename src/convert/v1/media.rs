//! Images, audio, videos and files, in messages and in runs.
//!
//! Source: `agno/media.py` of Agno 1.8.4 and 2.0.11, `agno/media/media.py` of 3.1.10. In 1.1 to 1.8 the media of messages
//! hold base64 of zlib, those of runs base64 or plain text.

use super::ids;
use super::ledger::{Count, Ledger, Place};
use super::members::Members;
use super::shapes;
use super::tree::{Node, Text};
use super::validator::{self, Fields};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use std::io::Read;

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An image.
    Image,
    /// Sound.
    Audio,
    /// A video.
    Video,
    /// Any file.
    File,
}

/// How the content of media is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Base64 of zlib: in messages of v1.
    Zlib,
    /// Base64, or a text: in runs of v1, and everywhere in v2.
    Plain,
}

/// What a medium became.
#[derive(Debug, PartialEq)]
pub enum Medium<'t> {
    /// A medium of v2.
    Kept(Node<'t>),
    /// There was no content; a transcript is left of it, if anything.
    Lost(Option<Text<'t>>),
    /// It went to the ledger.
    Left,
}

/// More than this is not unpacked: a few kilobytes of zlib can stand for gigabytes.
const MOST_BYTES: u64 = 1 << 30;

/// Where media stand, and what their ids are derived from.
#[derive(Clone, Copy, Debug)]
pub struct At<'p> {
    /// The session they belong to.
    pub session_id: &'p str,
    /// The run they belong to.
    pub run_id: &'p str,
    /// The place in the run.
    pub place: Place<'p>,
}

impl<'p> At<'p> {
    /// The place of a member.
    pub fn key<'a>(&'a self, key: &'a str) -> At<'a>
    where
        'p: 'a,
    {
        At { place: Place::Key(&self.place, key), ..*self }
    }

    /// The place of an element.
    pub fn index<'a>(&'a self, index: usize) -> At<'a>
    where
        'p: 'a,
    {
        At { place: Place::Index(&self.place, index), ..*self }
    }

    /// The id of what stands here.
    pub fn id(&self) -> String {
        ids::derived(self.session_id, format_args!("{}/{}", self.run_id, self.place))
    }
}

/// Converts a list of media; null when none is left. Transcripts of audio without content are given back.
pub fn list<'t>(
    node: Node<'t>,
    kind: Kind,
    packing: Packing,
    at: At<'_>,
    ledger: &mut Ledger<'t>,
) -> (Node<'t>, Vec<Text<'t>>) {
    let items = match node {
        Node::List { items, .. } => items,
        Node::Null => return (Node::Null, Vec::new()),
        // Agno 1.0 and phidata kept a single medium without a list.
        single => vec![single],
    };
    let (mut media, mut transcripts) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match one(item, kind, packing, at.index(index), ledger) {
            Medium::Kept(node) => media.push(node),
            Medium::Lost(transcript) => transcripts.extend(transcript),
            Medium::Left => {}
        }
    }
    (if media.is_empty() { Node::Null } else { Node::list(media) }, transcripts)
}

/// Converts one medium.
pub fn one<'t>(node: Node<'t>, kind: Kind, packing: Packing, at: At<'_>, ledger: &mut Ledger<'t>) -> Medium<'t> {
    let mut members = match node {
        Node::Object { members, .. } => members,
        Node::Null => return Medium::Left,
        Node::Text(url) if url.0.starts_with("http://") || url.0.starts_with("https://") => {
            [("url".into(), Node::Text(url))].into_iter().collect()
        }
        other => {
            ledger.keep(at.place, other);
            return Medium::Left;
        }
    };
    rename(&mut members, kind);
    for source in ["url", "filepath", "content"] {
        if members.get(source).is_falsy() {
            members.take(source);
        }
    }
    unpack(&mut members, packing, at, ledger);
    // With content there is nothing to fetch; v2 reads a medium with one source only.
    let sources: Vec<&str> = ["content", "filepath", "url"].into_iter().filter(|source| members.has(source)).collect();
    if sources.is_empty() {
        let transcript = members.get("transcript").filled_text().cloned();
        ledger.counts.one(Count::MediaLost);
        return Medium::Lost(transcript);
    }
    if kind != Kind::File {
        for source in &sources[1..] {
            let value = members.take(source);
            ledger.keep(at.key(source).place, value);
        }
    }
    describe(&mut members, kind);
    if members.get("id").filled_text().is_none() {
        let old = members.take("id");
        ledger.keep(at.key("id").place, if old.is_falsy() { Node::Null } else { old });
        members.set("id", Node::text(at.id()));
    }
    match validator::mend_object(shape(kind), Node::object(members), at.place, ledger) {
        Some(medium) => Medium::Kept(medium),
        None => Medium::Left,
    }
}

fn shape(kind: Kind) -> &'static Fields {
    match kind {
        Kind::Image => &shapes::IMAGE,
        Kind::Audio => &shapes::AUDIO,
        Kind::Video => &shapes::VIDEO,
        Kind::File => &shapes::FILE,
    }
}

/// v1's names for v2's. Lengths were texts.
fn rename<'t>(members: &mut Members<'t>, kind: Kind) {
    if kind == Kind::Audio {
        let content = members.take("base64_audio");
        if let Some(second) = members.fill("content", content) {
            members.set_some("base64_audio", second);
        }
    }
    if matches!(kind, Kind::Audio | Kind::Video) {
        let duration = match members.take("length") {
            Node::Text(text) if super::read::number_length(text.0.trim().as_bytes()) == Some(text.0.trim().len()) => {
                Node::Number(text.0.trim().to_owned().into())
            }
            other => other,
        };
        let number = matches!(duration, Node::Number(_));
        if number && members.get("duration").is_null() {
            members.set("duration", duration);
        } else {
            members.set_some("length", duration);
        }
    }
    for key in ["expires_at", "sample_rate", "channels"] {
        if let (Node::Number(_), Some(whole)) = (members.get(key), members.get(key).as_i64()) {
            members.set(key, Node::int(whole));
        }
    }
}

/// The content as base64 of its bytes.
fn unpack<'t>(members: &mut Members<'t>, packing: Packing, at: At<'_>, ledger: &mut Ledger<'t>) {
    let Node::Text(content) = members.get("content") else {
        let other = members.take("content");
        ledger.keep(at.key("content").place, other);
        return;
    };
    // Base64 has no characters that JSON escapes.
    let Ok(bytes) = STANDARD.decode(content.0.as_bytes()) else {
        if let Some(plain) = content.plain() {
            let encoded = STANDARD.encode(plain.as_bytes());
            members.set("content", Node::Text(Text(encoded.into())));
        } else {
            let other = members.take("content");
            ledger.keep(at.key("content").place, other);
        }
        return;
    };
    if packing == Packing::Plain || bytes.first() != Some(&0x78) {
        return;
    }
    let mut unpacked = Vec::with_capacity(bytes.len() * 2);
    let read = ZlibDecoder::new(bytes.as_slice()).take(MOST_BYTES + 1).read_to_end(&mut unpacked);
    match read {
        Ok(length) if length as u64 > MOST_BYTES => {
            let packed = members.take("content");
            ledger.keep(at.key("content").place, packed);
        }
        Ok(_) => members.set("content", Node::Text(Text(STANDARD.encode(&unpacked).into()))),
        // Texts were stored without zlib.
        Err(_) => {}
    }
}

/// Agno 2 forgets the format when it reads content: the type says it too.
fn describe(members: &mut Members<'_>, kind: Kind) {
    if !members.get("mime_type").is_falsy() {
        return;
    }
    members.take("mime_type");
    let Some(format) = members.get("format").plain().map(|format| format.to_ascii_lowercase()) else { return };
    let known = |known: &[&str]| known.contains(&format.as_str());
    let plausible = !format.is_empty() && format.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    let mime_type = match kind {
        _ if !plausible => return,
        Kind::File => return,
        Kind::Image if known(&["jpg"]) => "image/jpeg".to_owned(),
        Kind::Image if known(&["svg"]) => "image/svg+xml".to_owned(),
        Kind::Image => format!("image/{format}"),
        Kind::Audio if known(&["mp3"]) => "audio/mpeg".to_owned(),
        Kind::Audio => format!("audio/{format}"),
        Kind::Video if known(&["mov"]) => "video/quicktime".to_owned(),
        Kind::Video if known(&["mpg"]) => "video/mpeg".to_owned(),
        Kind::Video => format!("video/{format}"),
    };
    members.set("mime_type", Node::text(mime_type));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::v1::read::read;

    fn convert(json: &str, kind: Kind, packing: Packing) -> (String, usize) {
        let mut ledger = Ledger::default();
        let at = At { session_id: "s", run_id: "r", place: Place::Root };
        let medium = match one(read(json).expect("reads").0, kind, packing, at, &mut ledger) {
            Medium::Kept(node) => node.to_json(),
            other => format!("{other:?}"),
        };
        (medium, ledger.take().len())
    }

    #[test]
    fn content_is_base64_of_the_bytes() {
        // Written by Agno 1.1.17: zlib of the bytes 89 50 4e 47 78 78 78 78.
        let packed = r#"{"id":"i","content":"eJzrDPBzrwACAA5nA08="}"#;
        assert_eq!(convert(packed, Kind::Image, Packing::Zlib).0, r#"{"id":"i","content":"iVBOR3h4eHg="}"#);
        assert_eq!(convert(packed, Kind::Image, Packing::Plain).0, packed);
        let plain = r#"{"id":"i","content":"iVBOR3h4eHg="}"#;
        assert_eq!(convert(plain, Kind::Image, Packing::Zlib).0, plain);
        assert_eq!(
            convert(r#"{"id":"i","content":"<svg \"é\">"}"#, Kind::Image, Packing::Plain).0,
            r#"{"id":"i","content":"PHN2ZyAiw6kiPg=="}"#
        );
    }

    #[test]
    fn names_and_types_of_v2() {
        assert_eq!(
            convert(r#"{"id":"a","base64_audio":"UklGRg==","length":"1.50","format":"mp3"}"#, Kind::Audio, Packing::Plain).0,
            r#"{"id":"a","format":"mp3","content":"UklGRg==","duration":1.50,"mime_type":"audio/mpeg"}"#
        );
        assert_eq!(
            convert(r#"{"id":"a","url":"http://x","length":"long"}"#, Kind::Video, Packing::Plain),
            (r#"{"id":"a","url":"http://x"}"#.to_owned(), 1)
        );
    }

    #[test]
    fn sources() {
        let (image, left) =
            convert(r#"{"id":"i","url":"http://x","content":"aGk=","filepath":""}"#, Kind::Image, Packing::Plain);
        assert_eq!((image.as_str(), left), (r#"{"id":"i","content":"aGk="}"#, 1));
        assert_eq!(convert(r#"{"format":"wav"}"#, Kind::Audio, Packing::Zlib).0, "Lost(None)");
        assert_eq!(convert(r#"{"transcript":"hi"}"#, Kind::Audio, Packing::Zlib).0, "Lost(Some(Text(\"hi\")))");
        assert_eq!(convert("7", Kind::Image, Packing::Zlib), ("Left".to_owned(), 1));
        let (image, _) = convert("\"https://x/y.png\"", Kind::Image, Packing::Zlib);
        assert!(image.starts_with(r#"{"url":"https://x/y.png","id":""#), "{image}");
    }
}
