mod blocks;
mod malformed;
mod peer;
