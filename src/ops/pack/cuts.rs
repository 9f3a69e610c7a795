//! Layers that are packed in segments.

use super::{
    LayerFormat, Options, Prepared,
    layer::{Done, Job, full, learn_table},
};
use crate::{
    archive::{self, pack::Compression},
    ops::{
        Error,
        reuse::Wanted,
        segments::{self, Cuts, Cutter},
    },
    store::Committed,
};

/// Returns how layers are cut into segments, if they are.
pub fn cuts(options: &Options, prepared: &Prepared) -> Option<Cuts> {
    let is_asked = options.layer_format == LayerFormat::Chunked;
    // What is compressed would change from a change on to its end.
    if !is_asked || options.compression != Compression::None {
        return None;
    }
    let sizes = (0..prepared.entries.len()).map(|layer| plain_size(prepared, layer));
    Some(Cuts::of(options.segment_size, sizes))
}

/// Tells whether any layer is cut.
pub fn has_cuts(cuts: &Cuts, prepared: &Prepared) -> bool {
    (0..prepared.entries.len()).any(|layer| cuts.target_of(plain_size(prepared, layer)).is_some())
}

/// Returns how long a layer is before compression.
pub(super) fn plain_size(prepared: &Prepared, index: usize) -> u64 {
    let layer = archive::pack::Layer {
        tree: &prepared.found.tree,
        index,
        shape: prepared.shapes[index],
        path: "",
    };
    layer.plain_size()
}

/// Writes a layer into the store in segments of about `target` bytes, or only measures these.
pub(super) fn write(
    job: &Job<'_, '_>,
    wanted: Wanted<'_>,
    (layer, options): (archive::pack::Layer<'_>, &archive::pack::Options),
    target: u64,
) -> Result<Done, Error> {
    let to = job.writer.map(|writer| (writer, job.reuse.trust()));
    let poured = segments::aside(Cutter::new(target, to), |out| {
        archive::pack::pour(layer, out, options, job.meter, job.progress)
    });
    let (mut packed, segments) = match poured {
        Err(error) if segments::is_full(&error) => {
            return Err(match job.writer {
                Some(writer) => full(error, wanted, writer),
                None => error,
            });
        }
        poured => poured?,
    };
    job.reuse.learn(wanted, &packed);
    learn_table(job, wanted, &packed);
    let names: Vec<_> = segments.iter().map(|it| (it.digest, it.size)).collect();
    job.cache.learn_segments(&packed.digest, target, &names);
    packed.files = Vec::new();
    Ok(Done {
        packed,
        stored: segments
            .iter()
            .filter_map(|it| it.stored)
            .max_by_key(|it| rank(*it)),
        segments,
    })
}

/// Tells which of what became of segments says most about their layer.
const fn rank(stored: Committed) -> u8 {
    match stored {
        Committed::AlreadyThere => 0,
        Committed::Stored => 1,
        Committed::Healed => 2,
    }
}
