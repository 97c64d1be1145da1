/* What makes libmodel.so out of model.c and loop.c: edgegen/runtime/native.py calls edgegen_variant, edgegen_open,
 * edgegen_loop, edgegen_step and edgegen_close, and reads edgegen_codec and edgegen_widths. */

enum { ABI = 1 };

int edgegen_abi(void);

/* The version of all of these together, raised whenever one of them changes. */
int edgegen_abi(void) { return ABI; }
