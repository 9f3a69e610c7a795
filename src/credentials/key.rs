//! Under which names a login may stand in a file.

/// The name that Docker Hub's login has in files, for a registry that is called otherwise in
/// names of kits.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB: &str = "docker.io";

/// Returns the name a registry is saved and asked for under.
pub(super) fn of_registry(registry: &str) -> &str {
    if normal(registry) == HUB {
        HUB_KEY
    } else {
        registry
    }
}

/// Returns a key in the one spelling that keys are compared in: without scheme, without the
/// version of the protocol at the end, and Docker Hub by one of its names.
pub(super) fn normal(key: &str) -> String {
    let mut key = key.trim();
    for scheme in ["https://", "http://"] {
        key = key.strip_prefix(scheme).unwrap_or(key);
    }
    key = key.trim_end_matches('/');
    for version in ["/v1", "/v2"] {
        key = key.strip_suffix(version).unwrap_or(key);
    }
    key = key.trim_end_matches('/');
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let host = host.to_ascii_lowercase();
    let host = match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        _ => host,
    };
    if path.is_empty() {
        host
    } else {
        format!("{host}/{path}")
    }
}

/// Returns the keys under which a login for `repository` of `registry` may stand, the most
/// special first: `host/a/b`, `host/a`, `host`.
pub(super) fn candidates(registry: &str, repository: Option<&str>) -> Vec<String> {
    let host = normal(registry);
    let mut path = repository.unwrap_or_default();
    let mut keys = Vec::new();
    while !path.is_empty() {
        keys.push(format!("{host}/{path}"));
        path = path.rsplit_once('/').map_or("", |(front, _)| front);
    }
    keys.push(host);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_tools_are_one() {
        for (key, expected) in [
            ("registry.example", "registry.example"),
            ("https://registry.example", "registry.example"),
            ("https://Registry.Example/", "registry.example"),
            ("http://registry.example:5000/v2/", "registry.example:5000"),
            ("https://registry.example/v1/", "registry.example"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("docker.io/team/net", "docker.io/team/net"),
            ("registry.example/team/net", "registry.example/team/net"),
        ] {
            assert_eq!(normal(key), expected, "{key}");
        }
        assert_eq!(of_registry("docker.io"), HUB_KEY);
        assert_eq!(of_registry("registry.example"), "registry.example");
    }

    #[test]
    fn the_longest_key_comes_first() {
        assert_eq!(
            candidates("r.example:5000", Some("a/b")),
            ["r.example:5000/a/b", "r.example:5000/a", "r.example:5000"]
        );
        assert_eq!(candidates("index.docker.io", None), ["docker.io"]);
    }
}
