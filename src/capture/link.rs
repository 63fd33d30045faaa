//! Link types by number and name (the LINKTYPE registry of tcpdump.org and IANA).

use super::LinkType;

impl LinkType {
    /// BSD loopback: the address family in the byte order of the writer.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without HDLC framing.
    pub const PPP: Self = Self(9);
    /// Raw IP as libpcap on most systems numbers it (DLT_RAW).
    pub const DLT_RAW: Self = Self(12);
    /// Raw IP as libpcap on OpenBSD numbers it.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing (RFC 1662).
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE session packets (RFC 2516).
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, as `-i any` of older tools.
    pub const LINUX_SLL: Self = Self(113);
    /// OpenBSD's packet filter log.
    pub const PFLOG: Self = Self(117);
    /// 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// Per-packet information in front of another link type.
    pub const PPI: Self = Self(192);
    /// PPP with a direction byte.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Apple's `pktap` interfaces: a header in front of another link type.
    pub const PKTAP: Self = Self(258);
    /// Linux cooked capture version 2, as `-i any` of newer tools.
    pub const LINUX_SLL2: Self = Self(276);

    /// The name in the registry without its prefix, `UNKNOWN` if it is not one of the common ones.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "NULL",
            1 => "ETHERNET",
            6 => "IEEE802_5",
            7 => "ARCNET_BSD",
            8 => "SLIP",
            9 => "PPP",
            10 => "FDDI",
            12 | 14 | 101 => "RAW",
            50 => "PPP_HDLC",
            51 => "PPP_ETHER",
            100 => "ATM_RFC1483",
            104 => "C_HDLC",
            105 => "IEEE802_11",
            107 => "FRELAY",
            108 => "LOOP",
            113 => "LINUX_SLL",
            114 => "LTALK",
            117 => "PFLOG",
            119 => "IEEE802_11_PRISM",
            122 => "IP_OVER_FC",
            123 => "SUNATM",
            127 => "IEEE802_11_RADIOTAP",
            138 => "APPLE_IP_OVER_IEEE1394",
            139 => "MTP2_WITH_PHDR",
            140 => "MTP2",
            141 => "MTP3",
            142 => "SCCP",
            143 => "DOCSIS",
            144 => "LINUX_IRDA",
            147 => "USER0",
            148 => "USER1",
            149 => "USER2",
            150 => "USER3",
            151 => "USER4",
            152 => "USER5",
            153 => "USER6",
            154 => "USER7",
            155 => "USER8",
            156 => "USER9",
            157 => "USER10",
            158 => "USER11",
            159 => "USER12",
            160 => "USER13",
            161 => "USER14",
            162 => "USER15",
            163 => "IEEE802_11_AVS",
            166 => "PPP_PPPD",
            169 => "GPRS_LLC",
            177 => "LINUX_LAPD",
            187 => "BLUETOOTH_HCI_H4",
            189 => "USB_LINUX",
            192 => "PPI",
            195 => "IEEE802_15_4_WITHFCS",
            197 => "ERF",
            201 => "BLUETOOTH_HCI_H4_WITH_PHDR",
            203 => "LAPD",
            204 => "PPP_WITH_DIR",
            205 => "C_HDLC_WITH_DIR",
            206 => "FRELAY_WITH_DIR",
            209 => "IPMB_LINUX",
            220 => "USB_LINUX_MMAPPED",
            224 => "FC_2",
            226 => "IPNET",
            227 => "CAN_SOCKETCAN",
            228 => "IPV4",
            229 => "IPV6",
            230 => "IEEE802_15_4_NOFCS",
            231 => "DBUS",
            239 => "NFLOG",
            240 => "NETANALYZER",
            243 => "MPEG_2_TS",
            245 => "NFC_LLCP",
            247 => "INFINIBAND",
            248 => "SCTP",
            249 => "USBPCAP",
            252 => "WIRESHARK_UPPER_PDU",
            253 => "NETLINK",
            254 => "BLUETOOTH_LINUX_MONITOR",
            258 => "PKTAP",
            266 => "USB_DARWIN",
            271 => "VSOCK",
            272 => "NORDIC_BLE",
            274 => "ETHERNET_MPACKET",
            276 => "LINUX_SLL2",
            285 => "ATSC_ALP",
            _ => "UNKNOWN",
        }
    }
}
