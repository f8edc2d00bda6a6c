//! The groups of a message: a dimension, then that many entries of one length.

use std::slice::ChunksExact;

use thiserror::Error;

use super::layout::{self, MAX_GROUPS, layout_of};
use super::{Message, SCHEMA_VERSION, fields};

/// The checked groups of a message.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    groups: [Group<'a>; MAX_GROUPS],
}

/// One group; each entry is as long as the wire says and at least as long as its layout.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    entry_len: usize,
    bytes: &'a [u8],
}

/// Why a message's blocks are not what its template says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// A template that is not read here.
    #[error("template {template_id} is not read here")]
    UnknownTemplate {
        /// The template id.
        template_id: u16,
    },
    /// A root block or an entry is shorter than its fields.
    #[error("a block of template {template_id} has {actual} bytes, its fields need {needed}")]
    ShortBlock {
        /// The template id.
        template_id: u16,
        /// Bytes that the fields need.
        needed: usize,
        /// Bytes that the wire says.
        actual: usize,
    },
    /// A group ends after its message.
    #[error("a group of template {template_id} needs {needed} bytes, {available} are left")]
    GroupBeyondMessage {
        /// The template id.
        template_id: u16,
        /// Bytes that the group needs, with its dimension.
        needed: usize,
        /// Bytes left in the message.
        available: usize,
    },
    /// Bytes follow the last group although the version is one that is known.
    #[error("{extra} bytes follow the last group of template {template_id}")]
    TrailingBytes {
        /// The template id.
        template_id: u16,
        /// Bytes that belong to no group.
        extra: usize,
    },
    /// Numbers that contradict one another.
    #[error("template {template_id}: {problem}")]
    Contradiction {
        /// The template id.
        template_id: u16,
        /// What is wrong.
        problem: &'static str,
    },
}

impl<'a> Message<'a> {
    /// The groups of this message, checked: they consume the message exactly, but for what a newer
    /// version of the schema may have added.
    ///
    /// # Errors
    /// [`GroupError`] names the first rule that was broken.
    pub fn groups(&self) -> Result<Groups<'a>, GroupError> {
        let template_id = self.template_id;
        let layout = layout_of(template_id).ok_or(GroupError::UnknownTemplate { template_id })?;
        if self.root.len() < layout.root_len {
            return Err(GroupError::ShortBlock {
                template_id,
                needed: layout.root_len,
                actual: self.root.len(),
            });
        }
        let mut groups = [Group::EMPTY; MAX_GROUPS];
        let mut rest = self.rest;
        for (group, layout) in groups.iter_mut().zip(layout.groups) {
            if rest.is_empty() {
                break;
            }
            (*group, rest) = Group::split(rest, *layout, template_id)?;
        }
        if !rest.is_empty() && self.version <= SCHEMA_VERSION {
            let extra = rest.len();
            return Err(GroupError::TrailingBytes { template_id, extra });
        }
        Ok(Groups { groups })
    }
}

impl<'a> Groups<'a> {
    /// The first group; empty when there is none.
    pub fn first(&self) -> Group<'a> {
        self.groups[0]
    }

    /// The group with this index, from 0; empty when there is none.
    pub fn get(&self, index: usize) -> Group<'a> {
        self.groups.get(index).copied().unwrap_or(Group::EMPTY)
    }

    /// The second group; empty when there is none.
    pub fn second(&self) -> Group<'a> {
        self.groups[1]
    }
}

impl<'a> Group<'a> {
    const EMPTY: Group<'static> = Group {
        entry_len: 1,
        bytes: &[],
    };

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.entry_len
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The entries, in order.
    pub fn entries(&self) -> ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.entry_len)
    }

    /// The entry with this index, from 0.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let first = index.checked_mul(self.entry_len)?;
        self.bytes.get(first..)?.get(..self.entry_len)
    }

    /// The group that `rest` begins with, and what follows it.
    fn split(
        rest: &'a [u8],
        layout: layout::Group,
        template_id: u16,
    ) -> Result<(Self, &'a [u8]), GroupError> {
        let beyond = |needed| GroupError::GroupBeyondMessage {
            template_id,
            needed,
            available: rest.len(),
        };
        let head_len = layout.dimension.bytes();
        let (head, entries) = rest
            .split_at_checked(head_len)
            .ok_or_else(|| beyond(head_len))?;
        let entry_len = usize::from(fields::u16_at(head, 0));
        let count = usize::from(head[layout.dimension.count_offset()]);
        if count == 0 {
            return Ok((Self::EMPTY, entries));
        }
        if entry_len < layout.entry_len {
            return Err(GroupError::ShortBlock {
                template_id,
                needed: layout.entry_len,
                actual: entry_len,
            });
        }
        let len = entry_len * count;
        let (bytes, rest) = entries
            .split_at_checked(len)
            .ok_or_else(|| beyond(head_len + len))?;
        Ok((Self { entry_len, bytes }, rest))
    }
}

impl GroupError {
    /// The reason as a stable snake_case word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownTemplate { .. } => "unknown_template",
            Self::ShortBlock { .. } => "short_block",
            Self::GroupBeyondMessage { .. } => "group_beyond_message",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::Contradiction { .. } => "contradiction",
        }
    }
}
