//! The codecs against other people's: hyper, h2, curl, nghttp, nginx.
mod h1_client;
mod h2_both;
mod support;
mod tools;
