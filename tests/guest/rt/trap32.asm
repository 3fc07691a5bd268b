; SPDX-License-Identifier: GPL-2.0-only
; Exceptions and interrupts of a 32-bit guest kernel; see rt32.h.
bits 32

extern trap_handler
global trap_stubs, try_call, try_landing, try_esp

section .text

%assign i 0
%rep 64
align 16
stub_ %+ i:
%if !(i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30)
	push dword 0
%endif
	push dword i
	jmp trap_entry
%assign i i + 1
%endrep

trap_entry:
	pushad
	push ds
	push es
	mov ax, ss			; virtual-8086 mode leaves them null
	mov ds, ax
	mov es, ax
	cld
	push esp
	call trap_handler
	add esp, 4
	pop es
	pop ds
	popad
	add esp, 8
	iretd

; bool try_call(void (*fn)(uint32_t, uint32_t), uint32_t a, uint32_t b)
try_call:
	push ebx
	push ebp
	push esi
	push edi
	pushfd
	mov [try_esp], esp
	push dword [esp + 32]
	push dword [esp + 32]
	call [esp + 32]
	xor eax, eax
	; The trap handler's frame leads here, with this code's own ESP in ECX.
	mov ecx, [try_esp]
try_landing:
	mov esp, ecx
	mov dword [try_esp], 0
	popfd
	pop edi
	pop esi
	pop ebp
	pop ebx
	ret

section .rodata
align 4
trap_stubs:
%assign i 0
%rep 64
	dd stub_ %+ i
%assign i i + 1
%endrep

section .bss
align 4
try_esp: resd 1
section .note.GNU-stack noalloc noexec nowrite progbits
