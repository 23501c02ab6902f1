//! What the two ends of a link tell each other about themselves (RFC 9113, 6.5).
use super::{
    code::{Code, Fault},
    frame::{FRAME_DEFAULT, FRAME_LARGEST, LARGEST},
};

/// What one SETTINGS frame says; what it does not say stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When it is said several times, the smallest: less may be used than is allowed, and a table
    /// must have been as small as each of them (RFC 7541, 4.2).
    pub header_table_size: Option<u32>,
    pub enable_push: Option<bool>,
    pub max_concurrent_streams: Option<u32>,
    /// At most 2^31-1.
    pub initial_window_size: Option<u32>,
    /// From 2^14 to 2^24-1.
    pub max_frame_size: Option<u32>,
    pub max_header_list_size: Option<u32>,
    /// Extended CONNECT (RFC 8441).
    pub enable_connect_protocol: Option<bool>,
}

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

impl Settings {
    /// Reads the payload of a frame that is no answer to one of ours.
    ///
    /// # Errors
    ///
    /// When a value is one that there cannot be.
    pub fn parse(payload: &[u8]) -> Result<Self, Fault> {
        let (each, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fault::link(Code::FRAME_SIZE_ERROR, "SETTINGS end in the middle of one"));
        }
        let mut said = Self::default();
        for &[i0, i1, v0, v1, v2, v3] in each {
            said.read(u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))?;
        }
        Ok(said)
    }

    fn read(&mut self, id: u16, value: u32) -> Result<(), Fault> {
        match id {
            HEADER_TABLE_SIZE => {
                let before = self.header_table_size.unwrap_or(value);
                self.header_table_size = Some(value.min(before));
            }
            ENABLE_PUSH => self.enable_push = Some(switch(value)?),
            MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = Some(value),
            INITIAL_WINDOW_SIZE if LARGEST < value => {
                let why = "an initial window larger than any can be";
                return Err(Fault::link(Code::FLOW_CONTROL_ERROR, why));
            }
            INITIAL_WINDOW_SIZE => self.initial_window_size = Some(value),
            MAX_FRAME_SIZE if !(FRAME_DEFAULT..=FRAME_LARGEST).contains(&value) => {
                let why = "a frame size that there cannot be";
                return Err(Fault::link(Code::PROTOCOL_ERROR, why));
            }
            MAX_FRAME_SIZE => self.max_frame_size = Some(value),
            MAX_HEADER_LIST_SIZE => self.max_header_list_size = Some(value),
            ENABLE_CONNECT_PROTOCOL => self.enable_connect_protocol = Some(switch(value)?),
            // An extension's.
            _ => {}
        }
        Ok(())
    }

    /// Whether a server may say this.
    ///
    /// # Errors
    ///
    /// When it wants to be pushed to.
    pub fn check_of_server(&self) -> Result<(), Fault> {
        match self.enable_push {
            Some(true) => Err(Fault::link(Code::PROTOCOL_ERROR, "a server enables pushes")),
            Some(false) | None => Ok(()),
        }
    }

    /// Appends the payload of a frame that says this.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self {
            header_table_size,
            enable_push,
            max_concurrent_streams,
            initial_window_size,
            max_frame_size,
            max_header_list_size,
            enable_connect_protocol,
        } = *self;
        for (id, value) in [
            (HEADER_TABLE_SIZE, header_table_size),
            (ENABLE_PUSH, enable_push.map(u32::from)),
            (MAX_CONCURRENT_STREAMS, max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, initial_window_size),
            (MAX_FRAME_SIZE, max_frame_size),
            (MAX_HEADER_LIST_SIZE, max_header_list_size),
            (ENABLE_CONNECT_PROTOCOL, enable_connect_protocol.map(u32::from)),
        ] {
            let Some(value) = value else { continue };
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn switch(value: u32) -> Result<bool, Fault> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::link(Code::PROTOCOL_ERROR, "a setting that is neither on nor off")),
    }
}
