//! Loading a compiled object: its maps, then its programs.
//!
//! aya's own loader reads all types of the kernel whenever it is made, which takes tens of
//! milliseconds and megabytes; our programs need none of them.
use crate::{
    node::NodeError,
    sys::{self, Hook, Rejected},
};
use aya::maps::{MapData, MapError};
use aya_obj::{EbpfSectionKind, Object, btf::BtfError, relocation::EbpfRelocationError};
use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// An object, and what makes it this node's or pod's.
pub(crate) struct Source<'a> {
    /// As its file is called.
    pub(crate) name: &'static str,
    pub(crate) bytes: &'a [u8],
    /// Values of its settings.
    pub(crate) settings: &'a [(&'a str, &'a [u8])],
    /// Where maps are pinned: taken from there, or made and pinned.
    pub(crate) pins: &'a [(&'a str, PathBuf)],
}

/// An object whose maps exist.
#[derive(Debug)]
pub(crate) struct Loaded {
    name: &'static str,
    object: Object,
    /// Until the programs hold them.
    _maps: Vec<OwnedFd>,
}

/// Why an object was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("it cannot be parsed")]
    Parse(#[from] aya_obj::ParseError),
    #[error("its type information cannot be parsed")]
    Btf(#[from] BtfError),
    #[error("the kernel refuses its type information")]
    BtfRefused(#[source] io::Error),
    #[error("map {map} cannot be made")]
    Make {
        map: String,
        #[source]
        source: MapError,
    },
    #[error("map {map} cannot be opened or pinned")]
    Pin {
        map: String,
        #[source]
        source: io::Error,
    },
    #[error("its maps do not fit its programs")]
    Relocation(#[from] EbpfRelocationError),
    #[error("there is no program {program}")]
    NoProgram { program: &'static str },
    #[error("the kernel refuses program {program}; the verifier says:\n{log}")]
    Refused {
        program: &'static str,
        log: String,
        #[source]
        source: io::Error,
    },
}

/// Makes or takes the maps of an object.
pub(crate) fn load(source: &Source<'_>) -> Result<Loaded, NodeError> {
    try_load(source).map_err(|error| load_error(source.name, error))
}

impl Loaded {
    /// Has the verifier check a program, and returns it.
    pub(crate) fn program(&self, program: &'static str, hook: Hook) -> Result<OwnedFd, NodeError> {
        self.try_program(program, hook).map_err(|error| load_error(self.name, error))
    }

    fn try_program(&self, program: &'static str, hook: Hook) -> Result<OwnedFd, ObjectError> {
        let found = self.object.programs.get(program);
        let found = found
            .and_then(|found| Some((found, self.object.functions.get(&found.function_key())?)));
        let (found, function) = found.ok_or(ObjectError::NoProgram { program })?;
        sys::prog_load(program, hook, &function.instructions, &found.license)
            .map_err(|Rejected { log, source }| ObjectError::Refused { program, log, source })
    }
}

fn try_load(source: &Source<'_>) -> Result<Loaded, ObjectError> {
    let mut object = Object::parse(source.bytes)?;
    let settings = source.settings.iter().map(|(name, value)| (*name, (*value, true)));
    object.patch_map_data(settings.collect())?;
    let types = types(&mut object)?;
    let types = types.as_ref().map(OwnedFd::as_fd);
    let mut maps = Vec::with_capacity(object.maps.len());
    for (name, definition) in &object.maps {
        let pin = source.pins.iter().find(|(pinned, _)| pinned == name);
        let fd = map(name, definition, types, pin.map(|(_, path)| path.as_path()))?;
        maps.push((name.clone(), definition.clone(), fd));
    }
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let by_name = maps.iter().map(|(name, map, fd)| (name.as_str(), fd.as_raw_fd(), map));
    object.relocate_maps(by_name, &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(aya::features());
    let maps = maps.into_iter().map(|(_, _, fd)| fd).collect();
    Ok(Loaded { name: source.name, object, _maps: maps })
}

/// The object's types in the kernel: socket storage cannot be made without.
fn types(object: &mut Object) -> Result<Option<OwnedFd>, ObjectError> {
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let Some(types) = object.fixup_and_sanitize_btf(features)? else { return Ok(None) };
    sys::btf_load(&types.to_bytes()).map(Some).map_err(ObjectError::BtfRefused)
}

fn map(
    name: &str,
    definition: &aya_obj::Map,
    types: Option<BorrowedFd<'_>>,
    pin: Option<&Path>,
) -> Result<OwnedFd, ObjectError> {
    let pinning = |source| ObjectError::Pin { map: name.to_owned(), source };
    if let Some(pin) = pin
        && pin.try_exists().map_err(pinning)?
    {
        return sys::obj_get(pin).map_err(pinning);
    }
    let made = MapData::create(definition.clone(), name, types)
        .map_err(|source| ObjectError::Make { map: name.to_owned(), source })?;
    let fd = made.fd().as_fd().try_clone_to_owned().map_err(pinning)?;
    if definition.section_kind() == EbpfSectionKind::Rodata {
        sys::fill_and_freeze(fd.as_fd(), definition.data()).map_err(pinning)?;
    }
    if let Some(pin) = pin {
        sys::obj_pin(fd.as_fd(), pin).map_err(pinning)?;
    }
    Ok(fd)
}

fn load_error(object: &'static str, source: ObjectError) -> NodeError {
    NodeError::Load { object, source: Box::new(source) }
}
