"""A bad wire: carries Ethernet frames between two devices and loses, doubles and reorders some of them.

    wire.py LEFT RIGHT '{"loss": 0.1, "double": 0.1, "reorder": 0.2, "seed": 7}'

Probabilities are per frame with IP in it (ARP always passes). A reordered frame waits for the next few ones or 5 ms.
"""

import json
import random
import select
import socket
import sys
import time

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
# Frames come with their offload state, so that unfinished checksums and large segments survive the way.
PACKET_VNET_HDR = 15
VNET_HDR_BYTES = 10
HOLD_SECONDS = 0.005


def attach(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((device, 0))
    return sock


def main():
    left, right = attach(sys.argv[1]), attach(sys.argv[2])
    setting = json.loads(sys.argv[3])
    chance = random.Random(setting.get("seed", 1))
    across = {left: right, right: left}
    held = []
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([left, right], [], [], HOLD_SECONDS if held else None)
        for sock in ready:
            frame = sock.recv(70000)
            is_ip = frame[VNET_HDR_BYTES + 12 : VNET_HDR_BYTES + 14] == b"\x08\x00"
            if is_ip and chance.random() < setting.get("loss", 0):
                continue
            if is_ip and chance.random() < setting.get("reorder", 0):
                held.append((time.monotonic() + HOLD_SECONDS, across[sock], frame))
                continue
            across[sock].send(frame)
            if is_ip and chance.random() < setting.get("double", 0):
                across[sock].send(frame)
        due = [entry for entry in held if entry[0] <= time.monotonic()]
        held = [entry for entry in held if entry not in due]
        for _, sock, frame in due:
            sock.send(frame)


main()
