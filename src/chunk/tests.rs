use proptest::prelude::*;

use super::*;

/// Returns bytes without a pattern, the same ones every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Cuts `content` that arrives in pieces of these lengths, the last one again and again.
fn cut(grain: Grain, content: &[u8], pieces: &[usize]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut chunker = Chunker::new(grain);
    let mut rest = content;
    let mut pieces = pieces.iter().copied();
    let mut length = content.len();
    while !rest.is_empty() {
        length = pieces.next().unwrap_or(length).clamp(1, rest.len());
        chunker.push(&rest[..length], |chunk| chunks.push(chunk));
        rest = &rest[length..];
    }
    chunks.extend(chunker.finish());
    chunks
}

/// What the page says, in its words and without any care for speed.
fn as_the_page_says(size: u64, content: &[u8]) -> Vec<Chunk> {
    let (shortest, longest, bits) = match size {
        0..=1_048_575 => (usize::MAX, usize::MAX, 0),
        1_048_576..=2_147_483_648 => (32_768, 262_144, 15),
        _ => (524_288, 4_194_304, 19),
    };
    let number = |byte: u8| {
        let digest = crate::digest::Digest::of(&[b"kit gear 1", &[byte][..]].concat());
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap())
    };
    let numbers: Vec<u64> = (0..=255).map(number).collect();
    let (mut chunks, mut start) = (Vec::new(), 0);
    for end in 1..=content.len() {
        let length = end - start;
        let ends = end == content.len()
            || length == longest
            || length >= shortest && {
                let window = content[end - 64..end].iter().rev().enumerate();
                let sum = window.fold(0_u64, |sum, (place, byte)| {
                    sum.wrapping_add(numbers[usize::from(*byte)] << place)
                });
                sum >> (64 - bits) == 0
            };
        if ends {
            chunks.push(Chunk {
                length: u32::try_from(length).unwrap(),
                hash: ChunkHash::of(&content[start..end]),
            });
            start = end;
        }
    }
    chunks
}

fn lengths(chunks: &[Chunk]) -> Vec<u32> {
    chunks.iter().map(|chunk| chunk.length).collect()
}

#[test]
fn sizes_decide_how_finely_a_file_is_cut() {
    for (size, grain) in [
        (0, Grain::Whole),
        (1_048_575, Grain::Whole),
        (1_048_576, Grain::Fine),
        (2_147_483_648, Grain::Fine),
        (2_147_483_649, Grain::Coarse),
        (u64::MAX, Grain::Coarse),
    ] {
        assert_eq!(Grain::of(size), grain, "{size}");
    }
}

/// Cuts and hashes are in digests of tables of contents: if this fails, kits have other digests.
#[test]
fn cuts_and_hashes_never_change() {
    let (noise, zeros) = (noise(12 << 20), vec![0; 1 << 20]);
    let fine = cut(Grain::Fine, &noise[..3 << 20], &[]);
    assert_eq!(
        lengths(&fine[..6]),
        [43463, 53663, 41367, 57665, 98766, 58131]
    );
    let found: Vec<(usize, String)> = [
        (Grain::Whole, &b""[..]),
        (Grain::Whole, b"weights"),
        (Grain::Whole, &noise[..1_048_575]),
        (Grain::Fine, &noise[..3 << 20]),
        (Grain::Fine, &zeros),
        (Grain::Coarse, &noise),
    ]
    .into_iter()
    .map(|(grain, content)| {
        let chunks = cut(grain, content, &[]);
        let count = chunks.len();
        (count, FileDigest::of(chunks).to_string())
    })
    .collect();
    let frozen = [
        (
            0,
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
        (
            1,
            "eeba17e8ac90ba250764ca375ff4b13d6f2bef23cfe69b9c42f53688c97b130a",
        ),
        (
            1,
            "30779dfc2316bbdefc744cf2c98469200f133f22d34c62bf3624a70c7d56ab68",
        ),
        (
            47,
            "1c6c828f3676770bf61a4a9d3e7c9b6bf407cb65e7193bb2762caeda6ae768ce",
        ),
        (
            4,
            "5c3aa8a994db545b2413c9a6be56ab2d6d5f5691743c0a896171817bb218bd09",
        ),
        (
            16,
            "6140b195678386ac94da36b690ceaceda06872c8221dce3c083c8c199fb4a5f5",
        ),
    ];
    assert_eq!(
        found,
        frozen.map(|(count, digest)| (count, digest.to_owned()))
    );
    assert_eq!(
        format!("{:?}", ChunkHash::of(b"")),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
}

#[test]
fn the_page_tells_all_that_is_needed_to_cut() {
    let noise = noise((1 << 20) + 7);
    let found = cut(Grain::Fine, &noise, &[]);
    assert!(found == as_the_page_says(noise.len() as u64, &noise));
    let found = cut(Grain::Coarse, &noise, &[]);
    assert!(found == as_the_page_says(1 << 40, &noise));
    let found = cut(Grain::Whole, &noise[..1000], &[]);
    assert!(found == as_the_page_says(1000, &noise[..1000]));
}

#[test]
fn chunks_are_as_long_as_they_are_said_to_be() {
    let noise = noise(12 << 20);
    for (grain, mean) in [(Grain::Fine, 64 << 10), (Grain::Coarse, 1 << 20)] {
        let chunks = cut(grain, &noise, &[]);
        let (last, others) = chunks.split_last().unwrap();
        for chunk in others {
            assert!((grain.shortest()..=grain.longest()).contains(&chunk.length));
        }
        assert!(last.length <= grain.longest());
        let found = noise.len() / chunks.len();
        assert!(found > mean * 2 / 3 && found < mean * 3 / 2, "{found}");
    }
    // What has no pattern to be cut at is cut all the same.
    for byte in [0, 1, b' ', 0x80, 0xff] {
        let chunks = cut(Grain::Fine, &vec![byte; 1 << 20], &[]);
        assert!((4..=32).contains(&chunks.len()));
    }
}

#[test]
fn a_change_changes_the_chunks_around_it_alone() {
    let old = noise(3 << 20);
    let known = cut(Grain::Fine, &old, &[]);
    let changed = |new: &[u8]| -> u32 {
        let chunks = cut(Grain::Fine, new, &[]);
        let new = chunks.iter().filter(|chunk| !known.contains(chunk));
        new.map(|chunk| chunk.length).sum()
    };
    for place in [0, 1000, 1 << 20, (3 << 20) - 1] {
        let mut flipped = old.clone();
        flipped[place] ^= 1;
        assert!((1..=512 << 10).contains(&changed(&flipped)));
        let inserted = [&old[..place], b"and a little more", &old[place..]].concat();
        assert!((1..=512 << 10).contains(&changed(&inserted)));
        let cut = [&old[..place], &old[(place + 100).min(old.len())..]].concat();
        assert!(changed(&cut) <= 512 << 10);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn cuts_do_not_depend_on_how_bytes_arrive(
        coarse: bool,
        length in 0..1_500_000_usize,
        pieces in prop::collection::vec(1..400_000_usize, 1..8),
    ) {
        let grain = if coarse { Grain::Coarse } else { Grain::Fine };
        let content = noise(length);
        prop_assert!(cut(grain, &content, &pieces) == cut(grain, &content, &[]));
    }

    #[test]
    fn chunks_are_the_content_in_its_order(length in 0..1_500_000_usize) {
        let content = noise(length);
        let mut rest = &content[..];
        for chunk in cut(Grain::of(length as u64), &content, &[]) {
            let (head, behind) = rest.split_at(chunk.length as usize);
            prop_assert_eq!(ChunkHash::of(head), chunk.hash);
            let mut hasher = ChunkHasher::new();
            head.chunks(1000).for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.finish(), chunk.hash);
            rest = behind;
        }
        prop_assert!(rest.is_empty());
    }
}

#[test]
fn bytes_arriving_one_by_one_make_the_same_chunks() {
    let content = noise(600_000);
    assert!(cut(Grain::Fine, &content, &[1]) == cut(Grain::Fine, &content, &[]));
}
