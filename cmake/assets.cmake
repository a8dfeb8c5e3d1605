# Files that the binary serves itself, embedded at build time.
