// Marks what a shared library shows; everything else in it stays hidden.
#pragma once

#define WM_EXPORT __attribute__((visibility("default")))
