//! The members of a JSON object.

use super::tree::Node;
use std::borrow::Cow;
use std::collections::HashSet;

/// A key in the form of [`super::tree::Text`] and its value.
pub type Member<'t> = (Cow<'t, str>, Node<'t>);

/// Members of an object, each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members<'t>(Vec<Member<'t>>);

impl<'t> Members<'t> {
    /// None yet.
    pub fn new() -> Members<'t> {
        Members(Vec::new())
    }

    /// What was read: the last one counts where a key stands twice, as in Python.
    pub fn read(mut members: Vec<Member<'t>>) -> Members<'t> {
        if has_duplicates(&members) {
            let mut seen = HashSet::new();
            members.reverse();
            members.retain(|(key, _)| seen.insert(key.clone()));
            members.reverse();
        }
        Members(members)
    }

    /// The value of a key, null for none.
    pub fn get(&self, key: &str) -> &Node<'t> {
        self.0.iter().find(|(name, _)| name == key).map_or(&Node::Null, |(_, value)| value)
    }

    /// The key is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// Takes a member out; null for none.
    pub fn take(&mut self, key: &str) -> Node<'t> {
        match self.0.iter().position(|(name, _)| name == key) {
            Some(at) => self.0.remove(at).1,
            None => Node::Null,
        }
    }

    /// Sets a member, in its place if it is there.
    pub fn set(&mut self, key: impl Into<Cow<'t, str>>, value: Node<'t>) {
        let key = key.into();
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets a member unless the value is null.
    pub fn set_some(&mut self, key: impl Into<Cow<'t, str>>, value: Node<'t>) {
        if value != Node::Null {
            self.set(key, value);
        }
    }

    /// Sets a member that is missing or null; gives the value back when there is one already.
    pub fn fill(&mut self, key: impl Into<Cow<'t, str>>, value: Node<'t>) -> Option<Node<'t>> {
        let key = key.into();
        if *self.get(&key) == Node::Null {
            self.set_some(key, value);
            None
        } else {
            Some(value)
        }
    }

    /// Adds a member known to be new.
    pub fn push(&mut self, key: impl Into<Cow<'t, str>>, value: Node<'t>) {
        self.0.push((key.into(), value));
    }

    /// The members in order.
    pub fn as_slice(&self) -> &[Member<'t>] {
        &self.0
    }

    /// The members in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Member<'t>> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'t> IntoIterator for Members<'t> {
    type Item = Member<'t>;
    type IntoIter = std::vec::IntoIter<Member<'t>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'t> FromIterator<Member<'t>> for Members<'t> {
    fn from_iter<I: IntoIterator<Item = Member<'t>>>(members: I) -> Members<'t> {
        Members(members.into_iter().collect())
    }
}

fn has_duplicates(members: &[Member<'_>]) -> bool {
    // Objects that are taken apart have some twenty keys; only user data is larger.
    if members.len() <= 32 {
        return (1..members.len()).any(|at| members[..at].iter().any(|(key, _)| *key == members[at].0));
    }
    let mut seen = HashSet::with_capacity(members.len());
    !members.iter().all(|(key, _)| seen.insert(key.as_ref()))
}

#[cfg(test)]
mod tests {
    use crate::convert::v1::read::read;

    #[test]
    fn large_objects_have_each_key_once_too() {
        let many: String = (0..40).map(|key| format!("\"k{key}\":0,")).collect();
        let text = format!("{{{many}\"k7\":1}}");
        let (node, _) = read(&text).expect("reads");
        assert_eq!(node.members().len(), 40);
        assert_eq!(node.members()[0].0, "k0");
        assert_eq!(node.get("k7").as_i64(), Some(1));
    }
}
