; SPDX-License-Identifier: GPL-2.0-only
;
; Trap entries. Each pushes a vector number (and a zero where the CPU pushes no
; error code), saves the general registers as struct trap_frame of
; kernel/traps.h and calls trap_handle().

extern trap_handle

section .text
bits 64

%macro entry 1
align 16
trap_entry_%1:
%if %1 = 8 || (%1 >= 10 && %1 <= 14) || %1 = 17 || %1 = 21 || %1 = 29 || %1 = 30
%else
        push qword 0
%endif
        push qword %1
        jmp trap_common
%endmacro

%assign v 0
%rep 256
        entry v
%assign v v + 1
%endrep

trap_common:
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
        cld
        mov rdi, rsp
        mov rbp, rsp
        and rsp, -16
        call trap_handle
        mov rsp, rbp
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

section .rodata
global trap_entries
align 8
trap_entries:
%assign v 0
%rep 256
        dq trap_entry_ %+ v
%assign v v + 1
%endrep
