//! Metrics: lists become sums, v1's names v2's, by the place where they stand.
//!
//! Source: `MessageMetrics` in `agno/models/message.py` of Agno 1.8.4, `agno/models/metrics.py` of 2.0.11, `agno/metrics.py`
//! of 3.1.10.

use super::ledger::{Count, Ledger, Place};
use super::members::Members;
use super::shapes::COUNTS;
use super::tree::Node;
use std::borrow::Cow;

/// Whose metrics they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A run's: every value a list, one element per message.
    Run,
    /// A message's.
    Message,
    /// A session's.
    Session,
}

/// A count or time, summed up.
#[derive(Clone, Debug)]
enum Sum<'t> {
    /// A single number, with every digit it was written with.
    Written(Cow<'t, str>),
    Whole(i128),
    Fraction(f64),
}

impl<'t> Sum<'t> {
    fn of(number: &Cow<'t, str>) -> Sum<'t> {
        Sum::Written(number.clone())
    }

    fn plus(self, number: &Cow<'t, str>) -> Option<Sum<'t>> {
        let whole = match &self {
            Sum::Written(written) => written.parse::<i128>().ok(),
            Sum::Whole(whole) => Some(*whole),
            Sum::Fraction(_) => None,
        };
        if let (Some(whole), Ok(more)) = (whole, number.parse::<i128>()) {
            return whole.checked_add(more).map(Sum::Whole);
        }
        let fraction = match self {
            Sum::Written(written) => written.parse().ok()?,
            Sum::Whole(whole) => whole as f64,
            Sum::Fraction(fraction) => fraction,
        };
        let sum = fraction + number.parse::<f64>().ok()?;
        // Out of range: what it was summed from is kept instead.
        sum.is_finite().then_some(Sum::Fraction(sum))
    }

    /// A count of tokens: pydantic takes no number with a fraction for it.
    fn count(self) -> Option<Sum<'t>> {
        let fraction = match &self {
            Sum::Whole(_) => return Some(self),
            Sum::Written(written) if !written.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E' | b'N' | b'I')) => {
                return Some(self);
            }
            Sum::Written(written) => written.parse::<f64>().ok()?,
            Sum::Fraction(fraction) => *fraction,
        };
        // 2^53: beyond it a float does not tell one whole number from the next.
        (fraction.fract() == 0.0 && fraction.abs() <= 9_007_199_254_740_992.0).then_some(Sum::Whole(fraction as i128))
    }

    fn is_zero(&self) -> bool {
        match self {
            Sum::Written(written) => written.parse::<f64>() == Ok(0.0),
            Sum::Whole(whole) => *whole == 0,
            Sum::Fraction(fraction) => *fraction == 0.0,
        }
    }

    fn node(self) -> Node<'t> {
        Node::Number(match self {
            Sum::Written(written) => written,
            Sum::Whole(whole) => whole.to_string().into(),
            // Debug writes a float so that it reads back as the same, and always as one.
            Sum::Fraction(fraction) => format!("{fraction:?}").into(),
        })
    }
}

/// The sum of a number or of a list of numbers and nulls: `Ok(None)` when there are only nulls, `Err` when there is anything
/// else.
fn sum<'t>(node: &Node<'t>) -> Result<Option<Sum<'t>>, ()> {
    match node {
        Node::Null => Ok(None),
        Node::Number(number) => Ok(Some(Sum::of(number))),
        Node::List { items, .. } => items.iter().try_fold(None, |sum: Option<Sum<'t>>, item| match (sum, item) {
            (sum, Node::Null) => Ok(sum),
            (None, Node::Number(number)) => Ok(Some(Sum::of(number))),
            (Some(sum), Node::Number(number)) => sum.plus(number).map(Some).ok_or(()),
            _ => Err(()),
        }),
        _ => Err(()),
    }
}

/// What has been gathered of an object of metrics.
#[derive(Default)]
struct Gathered<'t> {
    counts: [Option<Sum<'t>>; COUNTS.len()],
    duration: Option<Sum<'t>>,
    first_token: Option<Node<'t>>,
    /// What fills a count that is missing or zero, in the order it was met.
    spare: Vec<(&'static str, Sum<'t>)>,
    additional: Members<'t>,
}

impl<'t> Gathered<'t> {
    fn count(&mut self, name: &str) -> Option<&mut Option<Sum<'t>>> {
        COUNTS.iter().position(|count| *count == name).map(|at| &mut self.counts[at])
    }

    /// Sets a count unless it has a value; says whether it was set, or had nothing to say.
    fn fill(&mut self, name: &str, value: Sum<'t>) -> bool {
        match self.count(name) {
            Some(slot) if slot.as_ref().is_none_or(Sum::is_zero) => {
                *slot = Some(value);
                true
            }
            _ => value.is_zero(),
        }
    }
}

/// Converts an object of metrics; null when nothing is left to say. What is no object goes to the ledger.
pub fn convert<'t>(node: Node<'t>, of: Of, place: Place<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    let Node::Object { members, .. } = node else {
        ledger.keep(place, node);
        return Node::Null;
    };
    let mut gathered = Gathered::default();
    for (key, value) in members {
        take(&mut gathered, key, value, of, &place, ledger);
    }
    for (name, value) in std::mem::take(&mut gathered.spare) {
        if !gathered.fill(name, value) {
            ledger.counts.one(Count::MetricsParts);
        }
    }
    let mut out = Members::new();
    for (name, count) in COUNTS.into_iter().zip(gathered.counts) {
        // Agno leaves zeros out too.
        if let Some(count) = count.filter(|count| !count.is_zero()) {
            out.push(name, count.node());
        }
    }
    if let Some(duration) = gathered.duration {
        out.push("duration", duration.node());
    }
    if let Some(first_token) = gathered.first_token {
        out.push("time_to_first_token", first_token);
    }
    if !gathered.additional.is_empty() {
        // MessageMetrics has no additional_metrics.
        let name = if of == Of::Message { "provider_metrics" } else { "additional_metrics" };
        out.push(name, Node::object(gathered.additional));
    }
    if out.is_empty() { Node::Null } else { Node::object(out) }
}

fn take<'t>(
    gathered: &mut Gathered<'t>,
    key: Cow<'t, str>,
    value: Node<'t>,
    of: Of,
    place: &Place<'_>,
    ledger: &mut Ledger<'t>,
) {
    let name = key.clone();
    let here = Place::Key(place, &name);
    let count = match key.as_ref() {
        "audio_tokens" => "audio_total_tokens",
        "input_audio_tokens" => "audio_input_tokens",
        "output_audio_tokens" => "audio_output_tokens",
        "cached_tokens" => "cache_read_tokens",
        other => other,
    };
    match (count, sum(&value)) {
        ("timer", _) => ledger.counts.more(Count::MetricsParts, usize::from(!value.is_null())),
        ("prompt_tokens_details", _) => {
            details(gathered, &value, &[("cached_tokens", "cache_read_tokens"), ("audio_tokens", "audio_input_tokens")]);
            ledger.counts.more(Count::MetricsParts, usize::from(!value.is_null()));
        }
        ("completion_tokens_details", _) => {
            details(gathered, &value, &[("reasoning_tokens", "reasoning_tokens"), ("audio_tokens", "audio_output_tokens")]);
            ledger.counts.more(Count::MetricsParts, usize::from(!value.is_null()));
        }
        ("additional_metrics" | "provider_metrics", _) => additional(&mut gathered.additional, value, here, ledger),
        (_, Ok(None)) => {}
        ("prompt_tokens" | "completion_tokens", Ok(Some(sum))) => {
            let name = if count == "prompt_tokens" { "input_tokens" } else { "output_tokens" };
            match sum.count() {
                Some(sum) => gathered.spare.insert(0, (name, sum)),
                None => ledger.keep(here, value),
            }
        }
        ("time" | "duration", Ok(Some(sum))) => match &gathered.duration {
            None => gathered.duration = Some(sum),
            Some(_) => ledger.keep(here, value),
        },
        ("time_to_first_token", Ok(Some(_))) => {
            let first = value.items().iter().find(|item| !item.is_null()).cloned();
            gathered.first_token = Some(first.unwrap_or(value));
        }
        (name, Ok(Some(sum))) if COUNTS.contains(&name) => match sum.count() {
            Some(sum) => {
                if !gathered.fill(name, sum) {
                    ledger.keep(here, value);
                }
            }
            None => ledger.keep(here, value),
        },
        (name, Err(())) if COUNTS.contains(&name) || KNOWN.contains(&name) => ledger.keep(here, value),
        (_, Ok(Some(sum))) if of == Of::Run => other(&mut gathered.additional, key, sum.node(), here, ledger),
        _ => other(&mut gathered.additional, key, value, here, ledger),
    }
}

/// Names with a place of their own, besides [`COUNTS`].
const KNOWN: [&str; 5] = ["prompt_tokens", "completion_tokens", "time", "duration", "time_to_first_token"];

/// Counts that only stand in the details: two runs of the wild would lose theirs.
fn details<'t>(gathered: &mut Gathered<'t>, value: &Node<'t>, names: &[(&'static str, &'static str)]) {
    let lists = match value {
        Node::List { items, .. } => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    for (from, to) in names {
        let numbers: Vec<Node<'t>> = lists.iter().map(|details| details.get(from).clone()).collect();
        if let Some(sum) = sum(&Node::list(numbers)).ok().flatten().and_then(Sum::count) {
            gathered.spare.push((to, sum));
        }
    }
}

/// The objects of a list become one: numbers are summed, of anything else the last one counts.
fn additional<'t>(into: &mut Members<'t>, value: Node<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) {
    let objects = match value {
        Node::Null => return,
        Node::List { items, .. } => items,
        single => vec![single],
    };
    for object in objects {
        match object {
            Node::Null => {}
            Node::Object { members, .. } => {
                for (key, value) in members {
                    let summed = match (into.get(&key), &value) {
                        (Node::Number(old), Node::Number(new)) => Sum::of(old).plus(new).map(Sum::node),
                        _ => None,
                    };
                    into.set_some(key, summed.unwrap_or(value));
                }
            }
            other => ledger.keep(place, other),
        }
    }
}

/// A metric that v2 has no name for.
fn other<'t>(into: &mut Members<'t>, key: Cow<'t, str>, value: Node<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) {
    if let Some(refused) = into.fill(key, value) {
        ledger.keep(place, refused);
    }
}

/// Converts the metrics of a tool call: only the time has a place.
pub fn of_tool<'t>(node: Node<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    let Node::Object { members, .. } = node else {
        ledger.keep(place, node);
        return Node::Null;
    };
    let mut duration = Node::Null;
    for (key, value) in members {
        match (key.as_ref(), sum(&value)) {
            ("timer", _) => ledger.counts.more(Count::MetricsParts, usize::from(!value.is_null())),
            ("time" | "duration", Ok(Some(sum))) if duration.is_null() => duration = sum.node(),
            (_, Ok(sum)) if sum.as_ref().is_none_or(Sum::is_zero) => {}
            _ => ledger.keep(Place::Key(&place, &key), value),
        }
    }
    if duration.is_null() { Node::Null } else { Node::object([("duration".into(), duration)].into_iter().collect()) }
}
