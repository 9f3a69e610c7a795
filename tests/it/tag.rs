//! `kit tag`

use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, kits::pack};

#[test]
fn a_kit_gets_more_names() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "team/net:1.0", "one");
    let tag = |target| kit.run(["tag", "team/net:1.0", target]);
    assert_data_eq!(
        tag("team/net:prod,latest"),
        str![[r#"
Modelkit team/net:1.0 tagged as team/net:prod
Modelkit team/net:1.0 tagged as team/net:latest
[exit 0]

"#]]
    );
    assert_data_eq!(
        tag("registry.example/team/net"),
        str![[r#"
Modelkit team/net:1.0 tagged as registry.example/team/net:latest
[exit 0]

"#]]
    );
    assert_data_eq!(
        tag("localhost/x:1"),
        str![[r#"
Modelkit team/net:1.0 tagged as x:1
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["tag", &digest, "by/digest:1"]).hide_digests(),
        str![[r#"
Modelkit sha256:[DIGEST] tagged as by/digest:1
[exit 0]

"#]]
    );
    let names = kit.store().names();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(names.values().all(|it| *it == digest), "{names:?}");
    kit.run(["verify"]).success();
}

#[test]
fn a_name_that_moves_is_said() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    pack(&kit, "b:1", "two");
    assert_data_eq!(
        kit.run(["tag", "a:1", "b:1"]).hide_digests(),
        str![[r#"
Modelkit a:1 tagged as b:1
[stderr]
b:1 was sha256:[DIGEST] before
[exit 0]

"#]]
    );
    let json = kit
        .run(["tag", "a:1", "c:1", "--format", "json"])
        .hide_digests();
    assert_data_eq!(
        json,
        str![[r#"
{
  "source": "a:1",
  "digest": "sha256:[DIGEST]",
  "tagged": [
    {
      "name": "c:1",
      "old": null
    }
  ]
}
[exit 0]

"#]]
    );
    // Again: nothing changes, and it is still a success.
    assert_data_eq!(
        kit.run(["tag", "a:1", "c:1"]),
        str![[r#"
Modelkit a:1 tagged as c:1
[exit 0]

"#]]
    );
    let left = kit.run(["list", "b"]).success();
    assert!(left.contains("<none>"), "{left}");
}

#[test]
fn what_cannot_be_a_name_or_is_not_there_is_refused() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "a:1", "one");
    let target = format!("b@{digest}");
    assert_data_eq!(
        kit.run(["tag", "a:1", &target]).hide_digests(),
        str![[r#"
[stderr]
error: 'b@sha256:[DIGEST]' is a digest, not a name
  given for TARGET
hint: a digest belongs to one content; name the kit as REPOSITORY:TAG
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["tag", "a:1", &digest]).hide_digests(),
        str![[r#"
[stderr]
error: 'sha256:[DIGEST]' is a digest, not a name
  given for TARGET
hint: a digest belongs to one content; name the kit as REPOSITORY:TAG
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["tag", "a", "b:1"]),
        str![[r#"
[stderr]
error: no kit a:latest in the store
hint: there is `a:1`
hint: a name without a tag means the tag `latest`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["tag", "a:1", "b:.bad"]),
        str![[r#"
[stderr]
error: tag `.bad` is not valid, expected 1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`
  given for TARGET
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["tag", "a:1"]),
        str![[r#"
[stderr]
error: missing <TARGET>
hint: see `kit tag --help`
[exit 2]

"#]]
    );
    assert_eq!(kit.store().names().len(), 1);
}
