//! Edits a CREATE TABLE statement as text, so that what a shape does not model (CHECK, COLLATE, defaults, foreign keys,
//! generated columns, STRICT) stays as the user wrote it. SQLite's own ALTER TABLE works the same way.

/// A CREATE TABLE statement, cut at the commas between its columns and constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct TableText {
    /// `CREATE TABLE name `, up to the bracket.
    head: String,
    /// The columns and constraints, as written.
    parts: Vec<String>,
    /// What follows the closing bracket: `WITHOUT ROWID`, `STRICT`.
    tail: String,
}

/// A piece of SQL: a word, a quoted name, a string, a number or one other character. Blanks and comments have none.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    from: usize,
    to: usize,
    /// The name it stands for, without its quotes; `None` when it is no name.
    name: Option<String>,
}

/// Cuts SQL into tokens; `None` when a quote or comment does not end.
fn tokens(sql: &str) -> Option<Vec<Token>> {
    let bytes = sql.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        let quoted = |close: u8| {
            let mut at = from + 1;
            loop {
                at += memchr::memchr(close, bytes.get(at..)?)?;
                if close != b']' && bytes.get(at + 1) == Some(&close) {
                    at += 2;
                } else {
                    return Some(at + 1);
                }
            }
        };
        match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| from + end + 1);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = sql[at + 2..].find("*/").map(|end| from + 2 + end + 2)?;
                continue;
            }
            open @ (b'"' | b'`' | b'[' | b'\'') => {
                at = quoted(if open == b'[' { b']' } else { open })?;
                let inner = &sql[from + 1..at - 1];
                let quote = char::from(open).to_string();
                let name = if open == b'[' { inner.to_owned() } else { inner.replace(&quote.repeat(2), &quote) };
                tokens.push(Token { from, to: at, name: Some(name) });
                continue;
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'$' | 0x80..)) {
                    at += 1;
                }
                tokens.push(Token { from, to: at, name: Some(sql[from..at].to_owned()) });
                continue;
            }
            _ => at += 1,
        }
        tokens.push(Token { from, to: at, name: None });
    }
    Some(tokens)
}

/// The WHERE of a CREATE INDEX statement; `None` without one.
pub fn index_condition(sql: &str) -> Option<&str> {
    let mut depth = 0usize;
    for token in tokens(sql)? {
        match &sql[token.from..token.to] {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            word if depth == 0 && word.eq_ignore_ascii_case("where") => return Some(sql[token.to..].trim()),
            _ => {}
        }
    }
    None
}

impl TableText {
    /// Cuts a statement; `None` when it is not of the form CREATE TABLE name (..).
    pub fn parse(sql: &str) -> Option<TableText> {
        let tokens = tokens(sql)?;
        let text = |token: &Token| &sql[token.from..token.to];
        let open = tokens.iter().position(|token| text(token) == "(")?;
        let mut depth = 0usize;
        let mut parts = Vec::new();
        let mut from = tokens[open].to;
        for token in &tokens[open..] {
            match text(token) {
                "(" => depth += 1,
                ")" => {
                    depth -= 1;
                    if depth == 0 {
                        parts.push(sql[from..token.from].trim().to_owned());
                        return Some(TableText {
                            head: sql[..tokens[open].from].to_owned(),
                            parts,
                            tail: sql[token.to..].to_owned(),
                        });
                    }
                }
                "," if depth == 1 => {
                    parts.push(sql[from..token.from].trim().to_owned());
                    from = token.to;
                }
                _ => {}
            }
        }
        None
    }

    /// The statement again, for a table called `name` (quoted).
    pub fn create(&self, name: &str) -> String {
        format!("CREATE TABLE {name} (\n\t{}\n){}", self.joined(), self.tail)
    }

    /// The statement again, under the name it had.
    pub fn text(&self) -> String {
        format!("{}(\n\t{}\n){}", self.head, self.joined(), self.tail)
    }

    /// The parts with commas between. A comment to the end of a line would swallow the comma behind it.
    fn joined(&self) -> String {
        let mut text = String::new();
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                let ends_in_comment = self.parts[at - 1].lines().last().is_some_and(|line| line.contains("--"));
                text.push_str(if ends_in_comment { "\n\t, " } else { ", \n\t" });
            }
            text.push_str(part);
        }
        text
    }

    /// Rows have no rowid.
    pub fn without_rowid(&self) -> bool {
        let tail = self.tail.to_ascii_lowercase();
        tail.contains("without") && tail.contains("rowid")
    }

    /// A column is AUTOINCREMENT.
    pub fn counts_up(&self) -> bool {
        let is_word = |part: &&Token| part.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("autoincrement"));
        self.parts.iter().any(|part| tokens(part).is_some_and(|tokens| tokens.iter().any(|token| is_word(&token))))
    }

    /// Adds a column behind the last one.
    pub fn add_column(&mut self, column: String) {
        let at = self.parts.iter().position(|part| is_constraint(part)).unwrap_or(self.parts.len());
        self.parts.insert(at, column);
    }

    /// Makes a column NOT NULL; false when there is none of that name.
    pub fn require(&mut self, name: &str) -> bool {
        let is_it = |part: &&mut String| !is_constraint(part) && first_name(part).as_deref() == Some(name);
        let Some(part) = self.parts.iter_mut().find(is_it) else { return false };
        // On a line of its own: a comment may end the column.
        part.push_str("\n\tNOT NULL");
        true
    }

    /// Takes a column away; false when it has none of that name.
    pub fn drop_column(&mut self, name: &str) -> bool {
        let before = self.parts.len();
        self.parts.retain(|part| is_constraint(part) || first_name(part).as_deref() != Some(name));
        self.parts.len() < before
    }

    /// Adds a constraint at the end.
    pub fn add_constraint(&mut self, constraint: String) {
        self.parts.push(constraint);
    }

    /// Takes away every UNIQUE constraint of the table over exactly these columns; false when it has none.
    pub fn drop_unique(&mut self, columns: &[String]) -> bool {
        let before = self.parts.len();
        self.parts.retain(|part| unique_columns(part).as_deref() != Some(columns));
        self.parts.len() < before
    }
}

/// The name a part begins with.
fn first_name(part: &str) -> Option<String> {
    tokens(part)?.into_iter().next()?.name
}

/// A part is a constraint of the table when it begins with one of these words, unquoted.
fn is_constraint(part: &str) -> bool {
    tokens(part)
        .and_then(|tokens| tokens.first().map(|first| part[first.from..first.to].to_ascii_uppercase()))
        .is_some_and(|word| ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].contains(&word.as_str()))
}

/// The columns of a part that is `[CONSTRAINT name] UNIQUE (columns)` and nothing else.
fn unique_columns(part: &str) -> Option<Vec<String>> {
    let tokens = tokens(part)?;
    let word = |token: &Token| part[token.from..token.to].to_ascii_uppercase();
    let rest = match tokens.first().map(word)?.as_str() {
        "CONSTRAINT" => tokens.get(2..)?,
        _ => &tokens[..],
    };
    let (unique, rest) = rest.split_first()?;
    let (open, rest) = rest.split_first()?;
    let (close, list) = rest.split_last()?;
    if word(unique) != "UNIQUE" || word(open) != "(" || word(close) != ")" {
        return None;
    }
    list.chunks(2)
        .map(|pair| match pair {
            [name] => name.name.clone(),
            [name, comma] if word(comma) == "," => name.name.clone(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "CREATE TABLE \"my (table\" (\n\"id\" VARCHAR NOT NULL, -- the, key\n [date] DATE DEFAULT (strftime('%s, now')),\n\
                       `x``y` JSON CHECK (x > 1, 2) /* a, b */, note TEXT COLLATE NOCASE DEFAULT 'it''s, ok',\n\
                       PRIMARY KEY (id), CONSTRAINT \"k, 1\" UNIQUE (\"id\", [date]), UNIQUE(note)) STRICT";

    #[test]
    fn odd_text_is_cut_at_the_right_commas() {
        let table = TableText::parse(ODD).expect("parses");
        assert_eq!(table.parts.len(), 7, "{:#?}", table.parts);
        assert_eq!(table.tail, " STRICT");
        assert_eq!(TableText::parse(&table.text()).map(|again| again.parts.len()), Some(7));
        assert!(table.create("\"new\"").starts_with("CREATE TABLE \"new\" ("));
    }

    #[test]
    fn columns_and_keys_come_and_go() {
        let mut table = TableText::parse(ODD).expect("parses");
        table.add_column("\"user_id\" VARCHAR NOT NULL".to_owned());
        assert_eq!(table.parts[4], "\"user_id\" VARCHAR NOT NULL");
        assert!(table.drop_unique(&["id".to_owned(), "date".to_owned()]));
        assert!(!table.drop_unique(&["id".to_owned()]));
        assert!(table.drop_column("x`y"));
        assert!(!table.drop_column("missing"));
        table.add_constraint("CONSTRAINT u UNIQUE (user_id, id, date)".to_owned());
        assert_eq!(table.parts.len(), 7);
    }

    #[test]
    fn the_condition_of_an_index_is_found_however_it_is_written() {
        for (sql, condition) in [
            ("CREATE INDEX i ON t (a)", None),
            ("CREATE INDEX \" where \" ON t (a /* where b */)", None),
            ("CREATE INDEX i ON t (a)\nWHERE a = 1", Some("a = 1")),
            ("CREATE INDEX i ON t (a) where(a IS NULL)", Some("(a IS NULL)")),
            ("CREATE INDEX i ON t (a) WHERE b IN (SELECT 1 WHERE 1)", Some("b IN (SELECT 1 WHERE 1)")),
        ] {
            assert_eq!(index_condition(sql), condition, "{sql}");
        }
    }

    #[test]
    fn broken_text_is_none() {
        for sql in ["", "CREATE TABLE x", "CREATE TABLE x (a", "CREATE TABLE x ('a)", "CREATE TABLE x (a /* )"] {
            assert_eq!(TableText::parse(sql), None, "{sql}");
        }
    }
}
