/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Typed addresses.
 *
 * A guest virtual address, a guest physical address and a host physical
 * address are all 64-bit numbers, and mixing them is how hypervisors leak
 * memory. Each is a one-field struct here: mixing them does not compile, and
 * the compiler makes the same code as for plain integers.
 *
 *   gva --(guest tables)--> gpa --(memory slot)--> hpa
 *                           gfn                    pfn      (>> PAGE_SHIFT)
 */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ull << PAGE_SHIFT)
#define PAGE_OFFSET_MASK (PAGE_SIZE - 1)

typedef struct { uint64_t v; } gva_t; /* guest virtual (linear) address */
typedef struct { uint64_t v; } gpa_t; /* guest physical address */
typedef struct { uint64_t v; } hpa_t; /* host (machine) physical address */
typedef struct { uint64_t v; } gfn_t; /* guest frame number, gpa >> 12 */
typedef struct { uint64_t v; } pfn_t; /* host frame number, hpa >> 12 */

static inline gva_t gva(uint64_t v) { return (gva_t){ v }; }
static inline gpa_t gpa(uint64_t v) { return (gpa_t){ v }; }
static inline hpa_t hpa(uint64_t v) { return (hpa_t){ v }; }
static inline gfn_t gfn(uint64_t v) { return (gfn_t){ v }; }
static inline pfn_t pfn(uint64_t v) { return (pfn_t){ v }; }

static inline gfn_t gpa_to_gfn(gpa_t a) { return gfn(a.v >> PAGE_SHIFT); }
static inline gpa_t gfn_to_gpa(gfn_t g) { return gpa(g.v << PAGE_SHIFT); }
static inline pfn_t hpa_to_pfn(hpa_t a) { return pfn(a.v >> PAGE_SHIFT); }
static inline hpa_t pfn_to_hpa(pfn_t p) { return hpa(p.v << PAGE_SHIFT); }

static inline gfn_t gfn_add(gfn_t g, uint64_t n) { return gfn(g.v + n); }
static inline pfn_t pfn_add(pfn_t p, uint64_t n) { return pfn(p.v + n); }
static inline gpa_t gpa_add(gpa_t a, uint64_t n) { return gpa(a.v + n); }
static inline hpa_t hpa_add(hpa_t a, uint64_t n) { return hpa(a.v + n); }

/* Byte offset of the address within its 4 KiB page. */
static inline uint64_t gpa_offset(gpa_t a) { return a.v & PAGE_OFFSET_MASK; }
static inline uint64_t gva_offset(gva_t a) { return a.v & PAGE_OFFSET_MASK; }

#endif
