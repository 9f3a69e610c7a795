//! What a server was asked so far, and whether each request is as it should be.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use modelkit::http::Url;

use super::{Asked, Endpoint, below, endpoint, faults, flow::Flow, is_for_tokens, only, split};

/// What a server handed out: paths with their queries.
#[derive(Debug, Default)]
struct Known {
    places: Vec<(String, String)>,
    /// Whether it ever asked for a proof.
    challenged: bool,
}

/// By port: one server may send on to another.
static KNOWN: Mutex<Option<HashMap<u16, Known>>> = Mutex::new(None);

/// The checks of one server.
#[derive(Debug)]
pub(crate) struct Checks {
    port: u16,
    faults: Mutex<Vec<String>>,
    flow: Mutex<Flow>,
}

impl Checks {
    /// Begins the checks of the server on this port.
    pub(crate) fn of(port: u16) -> Self {
        // Another test may have had the port.
        known(|all| all.insert(port, Known::default()));
        Self {
            port,
            faults: Mutex::default(),
            flow: Mutex::default(),
        }
    }

    /// Checks a request.
    pub(crate) fn request(&self, asked: &Asked<'_>) {
        let mut found = faults(asked);
        let flow = lock(&self.flow);
        let is_upload = flow.knows(asked);
        let is_known = known(|all| {
            let known = all.entry(self.port).or_default();
            found.extend(known.faults(asked, is_upload));
            known.knows(asked)
        });
        // Another server may have sent an upload here.
        if is_upload || !is_known {
            found.extend(flow.faults(asked));
        }
        drop(flow);
        let found = found.into_iter();
        let shown = found.map(|fault| format!("{fault}: {} {}", asked.method, asked.target));
        lock(&self.faults).extend(shown);
    }

    /// Notes what went wrong beside single requests.
    pub(crate) fn fault(&self, text: &str) {
        lock(&self.faults).push(text.to_owned());
    }

    /// Notes what an answer hands out, and what it says.
    pub(crate) fn answer(&self, asked: &Asked<'_>, status: u16, headers: &[(String, String)]) {
        let location = headers
            .iter()
            .find(|it| it.0.eq_ignore_ascii_case("location"));
        let location = location.and_then(|it| self.resolve(asked, &it.1));
        let place = location.filter(|it| it.0 == self.port).map(|it| it.1);
        lock(&self.flow).answer(asked, status, headers, place);
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "location" => self.note(asked, value),
                "link" => {
                    let target = value.split_once('<').and_then(|it| it.1.split_once('>'));
                    self.note(asked, target.map_or("", |it| it.0));
                }
                "www-authenticate" if status == 401 => {
                    known(|all| all.entry(self.port).or_default().challenged = true);
                }
                _ => {}
            }
        }
    }

    /// Notes an address that was handed out.
    fn note(&self, asked: &Asked<'_>, address: &str) {
        if let Some((port, place)) = self.resolve(asked, address) {
            known(|all| all.entry(port).or_default().places.push(place));
        }
    }

    /// Returns port, path and query of an address: whole, of this server, or beside what was asked
    /// for. All that a proxy hands out comes back to it.
    fn resolve(&self, asked: &Asked<'_>, address: &str) -> Option<(u16, (String, String))> {
        let place = format!("http://127.0.0.1:{}{}", self.port, below(asked.target));
        let url = Url::parse(&place).ok()?.join(address).ok()?;
        let query = url.query().unwrap_or_default().to_owned();
        let port = if asked.target.contains("://") {
            self.port
        } else {
            url.port_or_known_default().unwrap_or_default()
        };
        Some((port, (url.path().to_owned(), query)))
    }

    /// Returns what was wrong with requests so far.
    pub(crate) fn found(&self) -> Vec<String> {
        lock(&self.faults).clone()
    }

    /// Returns what else was to follow, once all is done: tags of lists of referrers.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let flow = lock(&self.flow);
        flow.lists_to_follow().map(str::to_owned).collect()
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known<T>(change: impl FnOnce(&mut HashMap<u16, Known>) -> T) -> T {
    let mut known = lock(&KNOWN);
    change(known.get_or_insert_with(HashMap::new))
}

impl Known {
    /// Tells whether this is a place that was handed out, whatever its query.
    fn knows(&self, asked: &Asked<'_>) -> bool {
        let (path, _) = split(asked.target);
        self.places.iter().any(|place| place.0 == path)
    }

    /// Returns what is wrong with a request after what was handed out before it; what uploads of
    /// this server are held against is in [`flow`].
    fn faults(&self, asked: &Asked<'_>, is_upload: bool) -> Vec<&'static str> {
        let (path, query) = split(asked.target);
        let is_registry = path.starts_with("/v2/");
        let mut faults = Vec::new();
        if is_registry && !self.challenged && asked.header("authorization").is_some() {
            faults.push("a proof that nobody asked for");
        }
        let is_place = match endpoint(path) {
            Some((_, Endpoint::Upload)) => !is_upload,
            _ => !is_registry && asked.method != "POST" && !is_for_tokens(query),
        };
        let mut queries = self.places.iter().filter(|place| place.0 == path);
        let keeps = |known: &str| {
            let rest = query.strip_prefix(known);
            rest.is_some_and(|rest| rest.is_empty() || known.is_empty() || rest.starts_with('&'))
        };
        if is_place && queries.clone().next().is_some() && !queries.any(|place| keeps(&place.1)) {
            faults.push("a query that was handed out is not the one that came back");
        }
        let is_page = matches!(endpoint(path), Some((_, Endpoint::Tags)));
        let is_next = self
            .places
            .iter()
            .any(|place| (place.0.as_str(), place.1.as_str()) == (path, query));
        if is_page && !is_next && !only(query, &["n", "last"]) {
            faults.push("a list of tags takes n and last");
        }
        faults
    }
}
