//! The file of passwords that psql reads too.

use super::settings::Host;

/// Where packages of PostgreSQL put the socket: a server there is `localhost` in the file.
const DEFAULT_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The password in a .pgpass file: `host:port:database:user:password`, `*` for any, `\` before `:` and `\`. A socket is found by
/// its directory.
pub fn password_of(text: &str, host: &Host, database: &str, user: &str) -> Option<String> {
    let port = host.port.to_string();
    let is_host = |field: &str| {
        field == host.name || field == "localhost" && DEFAULT_FOLDERS.contains(&host.name.trim_end_matches('/'))
    };
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match letter {
                // The password is the rest of the line.
                ':' if fields.len() < 5 => fields.push(String::new()),
                '\\' => fields.last_mut()?.extend(letters.next()),
                letter => fields.last_mut()?.push(letter),
            }
        }
        let fits = |field: &str, wanted: &str| field == "*" || field == wanted;
        match fields.as_slice() {
            [h, p, d, u, password] if (h == "*" || is_host(h)) && fits(p, &port) && fits(d, database) && fits(u, user) => {
                Some(password.clone())
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_host_or_socket() {
        let file = "/run/mine:*:*:*:by folder\nlocalhost:5432:*:*:by name\ndb:*:*:ann:it\\:s\\\\me:too\n";
        for (name, password) in [
            ("/run/mine", Some("by folder")),
            ("/var/run/postgresql", Some("by name")),
            ("/tmp", Some("by name")),
            ("localhost", Some("by name")),
            ("/elsewhere", None),
            ("db", Some("it:s\\me:too")),
        ] {
            let host = Host { name: name.to_owned(), port: 5432, ..Host::default() };
            assert_eq!(password_of(file, &host, "agno", "ann").as_deref(), password, "{name}");
        }
    }
}
