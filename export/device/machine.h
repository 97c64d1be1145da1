/* What a measurement was taken on. */
#ifndef EDGEGEN_MACHINE_H
#define EDGEGEN_MACHINE_H

/* Print a JSON object of the machine's facts: system, processor, features, cores, memory, governor, frequency,
 * temperature, each null where this machine does not tell. */
void edgegen_print_machine(void);

/* Print `text` as a JSON string. */
void edgegen_print_string(const char *text);

#endif
