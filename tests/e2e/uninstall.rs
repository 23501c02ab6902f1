//! uninstall
