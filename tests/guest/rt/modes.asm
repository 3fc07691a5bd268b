; SPDX-License-Identifier: GPL-2.0-only
; From long mode to paging off and back; see modes64.c.
bits 64

extern gdt_pointer
global mode_trip, compat_call

section .text

; void mode_trip(struct trip *t): leaves long mode for 32-bit code with paging
; off, stores t->value at t->address (below 4 GiB), loads t->cr3 if it is not
; 0, reads back t->seen from t->address, and comes back.
;   t: address 0, value 8, cr3 16, seen 24, cr0 32, efer 40
mode_trip:
	push rbx
	push rbp
	mov rbp, rsp
	pushfq
	cli
	push qword 0x18
	push qword .compat
	retfq

bits 32
.compat:
	mov ecx, 0x10
	mov ss, ecx
	mov eax, cr0
	and eax, 0x7FFFFFFF
	mov cr0, eax
	jmp .off
.off:	mov [edi + 32], eax
	mov ecx, 0xC0000080
	rdmsr
	mov [edi + 40], eax
	mov ebx, [edi]
	mov eax, [edi + 8]
	mov [ebx], eax
	mov eax, [edi + 12]
	mov [ebx + 4], eax
	mov eax, [edi + 16]
	test eax, eax
	jz .same
	mov cr3, eax
.same:	mov eax, [ebx]
	mov [edi + 24], eax
	mov eax, [ebx + 4]
	mov [edi + 28], eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	jmp 0x08:.back
bits 64
.back:
	popfq
	mov rsp, rbp
	pop rbp
	pop rbx
	ret

; uint64_t compat_call(uint64_t address): reads 4 bytes in compatibility mode.
compat_call:
	push rbp
	mov rbp, rsp
	push qword 0x18
	push qword .in
	retfq
bits 32
.in:	mov eax, [edi]
	inc dword [edi]
	jmp 0x08:.out
bits 64
.out:	mov rsp, rbp
	pop rbp
	mov eax, eax
	ret
section .note.GNU-stack noalloc noexec nowrite progbits
