//! The Kitfile: what a kit is made of.

/// The parts of a Kitfile that become layers, in packing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `model`.
    Model,
    /// `model.parts[]`.
    Part,
    /// `code[]`.
    Code,
    /// `datasets[]`.
    Dataset,
    /// `docs[]`.
    Docs,
    /// `prompts[]`.
    Prompt,
    /// `mcpServers[]`.
    McpServer,
}
