use super::*;

const GIB: u64 = 1 << 30;

#[test]
fn registries_are_known_by_their_names() {
    for (host, name, way) in [
        ("ghcr.io", "GitHub", Way::Whole),
        ("GHCR.IO:443", "GitHub", Way::Whole),
        (
            "1.dkr.ecr.eu-west-1.amazonaws.com",
            "Amazon ECR",
            Way::Whole,
        ),
        (
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "Amazon ECR",
            Way::Whole,
        ),
        ("public.ecr.aws", "Amazon ECR Public", Way::Whole),
        (
            "europe-docker.pkg.dev",
            "Google Artifact Registry",
            Way::Whole,
        ),
        ("eu.gcr.io", "Google Artifact Registry", Way::Whole),
        ("team.azurecr.io", "Azure Container Registry", Way::Chunks),
        ("team.jfrog.io", "Artifactory", Way::Whole),
        ("registry.gitlab.com", "GitLab", Way::Chunks),
        ("quay.io", "Quay", Way::Chunks),
        ("docker.io", "Docker Hub", Way::Chunks),
        ("registry.example:5000", "distribution", Way::Chunks),
        ("notghcr.io.example", "distribution", Way::Chunks),
        ("amazonaws.com.example", "distribution", Way::Chunks),
        ("xgcr.io", "distribution", Way::Chunks),
    ] {
        let habits = Habits::of(host);
        assert_eq!((habits.name(), habits.way(GIB)), (name, way), "{host}");
    }
}

#[test]
fn registries_are_known_by_their_answers_and_a_name_counts_more() {
    for (header, value, name) in [
        ("x-jfrog-version", "Artifactory/7", "Artifactory"),
        ("gitlab-container-registry-version", "4", "GitLab"),
        ("server", "Nexus/3.70", "Nexus"),
        ("server", "nginx", "distribution"),
        ("x-github-request-id", "1", "GitHub"),
        (
            "x-ms-correlation-request-id",
            "1",
            "Azure Container Registry",
        ),
        ("x-harbor-csrf-token", "1", "Harbor"),
    ] {
        let mut habits = Habits::of("registry.example");
        habits.see(|it| (it == header).then_some(value));
        assert_eq!(habits.name(), name, "{header}: {value}");
    }
    let mut habits = Habits::of("ghcr.io");
    habits.see(|it| (it == "server").then_some("Nexus/3"));
    assert_eq!(habits.name(), "GitHub");
}

// hazard: 77
#[test]
fn chunks_follow_time_and_limits() {
    let mut habits = Habits::of("registry.example");
    assert_eq!(habits.chunk(GIB, None), FIRST_CHUNK);
    assert_eq!(habits.chunk(5, None), 5, "the last one is what is left");
    habits.measured(FIRST_CHUNK, Duration::from_millis(30));
    assert_eq!(habits.chunk(GIB, Some(FIRST_CHUNK)), 2 * FIRST_CHUNK);
    assert_eq!(habits.chunk(GIB, Some(MAX_CHUNK)), MAX_CHUNK);
    habits.measured(FIRST_CHUNK, Duration::from_secs(40));
    assert_eq!(habits.chunk(GIB, Some(FIRST_CHUNK)), FIRST_CHUNK / 4);
    habits.measured(MIB, Duration::from_secs(1000));
    assert_eq!(habits.chunk(GIB, Some(MIB)), LEAST_CHUNK);
    habits.see(|it| (it == "oci-chunk-min-length").then_some("10485760"));
    assert_eq!(habits.chunk(GIB, Some(MIB)), 10 * MIB);
    habits.see(|it| (it == "oci-chunk-min-length").then_some("18446744073709551615"));
    assert_eq!(habits.chunk(GIB, Some(MIB)), MAX_CHUNK);
    let mut habits = Habits::of("registry.example");
    habits.see(|it| (it == "cf-ray").then_some("1"));
    assert_eq!(habits.chunk(GIB, Some(GIB)), FIRST_CHUNK);
    habits.measured(FIRST_CHUNK, Duration::from_millis(1));
    assert_eq!(habits.chunk(GIB, Some(GIB)), 95_000_000);
}

#[test]
fn what_is_refused_is_tried_smaller_and_in_the_end_otherwise() {
    let mut habits = Habits::of("registry.example");
    let mut sizes = vec![32 * MIB];
    while habits.too_large(*sizes.last().unwrap()).is_some() {
        sizes.push(habits.chunk(GIB, None));
    }
    assert_eq!(sizes, [32 * MIB, 8 * MIB, 2 * MIB, MIB]);
    let mut habits = Habits::of("registry.example");
    assert!(habits.chunk_refused(FIRST_CHUNK).is_some());
    assert_eq!(habits.chunk(GIB, None), SMALL_CHUNK);
    assert!(habits.chunk_refused(SMALL_CHUNK).is_some());
    assert_eq!(habits.way(GIB), Way::Whole);
    assert_eq!(habits.chunk_refused(SMALL_CHUNK), None);
    assert_eq!(habits.whole_breaks(GIB), None, "there are no chunks");
}

#[test]
fn a_whole_blob_that_would_take_too_long_is_cut() {
    let mut habits = Habits::of("ghcr.io");
    assert_eq!(habits.way(GIB), Way::Whole);
    habits.measured(MIB, Duration::from_secs(1));
    assert_eq!(habits.way(GIB), Way::Chunks);
    assert_eq!(habits.chunk(GIB, None), SMALL_CHUNK);
    assert_eq!(habits.way(100 * MIB), Way::Whole);
}

#[test]
fn what_the_user_asks_for_counts() {
    let mut habits = Habits::of("ghcr.io");
    habits.prefer(Some(Way::Chunks), None);
    assert_eq!(habits.way(GIB), Way::Chunks);
    habits.prefer(None, Some(2 * MIB));
    assert_eq!(habits.way(3 * MIB), Way::Chunks);
    assert_eq!(habits.chunk(GIB, None), 2 * MIB);
    habits.prefer(Some(Way::Whole), None);
    assert_eq!(habits.way(GIB), Way::Whole);
}
