; SPDX-License-Identifier: GPL-2.0-only
; Exceptions and interrupts of a 64-bit guest kernel, and calls that catch
; them. Every vector has a stub; exceptions run on the stack of IST 1.
bits 64

extern trap_handler
global trap_stubs, try_call, try_user, try_landing, try_rsp, user_rflags

section .text

%assign i 0
%rep 256
align 16
stub_ %+ i:
%if !(i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30)
	push 0
%endif
	push i
	jmp trap_entry
%assign i i + 1
%endrep

trap_entry:
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	mov rdi, rsp
	cld
	call trap_handler
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq

%macro SAVE 0
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	pushfq
	mov [rel try_rsp], rsp
%endmacro

; uint64_t try_call(void (*fn)(uint64_t, uint64_t), uint64_t a, uint64_t b)
; Returns 0, or 1 when fn trapped.
try_call:
	SAVE
	mov rax, rdi
	mov rdi, rsi
	mov rsi, rdx
	call rax
	xor eax, eax
	; The trap handler comes here with rax = 1 and rsp = try_rsp.
try_landing:
	mov qword [rel try_rsp], 0
	popfq
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

; uint64_t try_user(uint64_t rip, uint64_t a, uint64_t b, uint64_t rsp)
; Goes to rip in ring 3 with rdi = a, rsi = b, rflags = user_rflags. INT 0x80 ends it.
try_user:
	SAVE
	push 0x23
	push rcx
	push qword [rel user_rflags]
	push 0x2B
	push rdi
	mov rdi, rsi
	mov rsi, rdx
	iretq

section .rodata
align 8
trap_stubs:
%assign i 0
%rep 256
	dq stub_ %+ i
%assign i i + 1
%endrep

section .data
align 8
user_rflags: dq 2

section .bss
align 8
try_rsp: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
