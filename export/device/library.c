/* What makes libmodel.so out of model.c, rows.c and stream.c: edgegen/runtime/native.py calls edgegen_variant,
 * edgegen_width, edgegen_open, edgegen_read, edgegen_close, edgegen_rows_new, edgegen_step, edgegen_state and
 * edgegen_rows_free, and reads edgegen_codec and edgegen_widths. */

enum { ABI = 5 };

int edgegen_abi(void);

/* The version of all of these together, raised whenever one of them changes. */
int edgegen_abi(void) { return ABI; }
