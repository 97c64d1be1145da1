"""One side of a call: ffmpeg encodes something and sends it over RTP at its own pace."""

import random

# Codec options, samples a second, and milliseconds in a packet to choose from.
AUDIO = {
    "pcmu": (["-c:a", "pcm_mulaw"], 8000, (10, 20, 20, 30, 40)),
    "pcma": (["-c:a", "pcm_alaw"], 8000, (10, 20, 20, 30)),
    "g722": (["-c:a", "g722"], 16000, (20,)),
    "gsm": (["-c:a", "libgsm"], 8000, (20,)),
    "speex": (["-c:a", "libspeex", "-vbr", "1"], 16000, (20,)),
    "opus": (["-c:a", "libopus", "-application", "voip"], 48000, (10, 20, 20, 40, 60)),
}
VIDEO = {
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"],
}
CODECS = (*AUDIO, *VIDEO)


def sender(codec: str, seconds: float, peer: str, ports: tuple[int, int], seed: int) -> list[str]:
    """The command that sends from the first of `ports` to the second at `peer`: speech-like sound, or a picture."""
    rng = random.Random(seed)
    if codec in AUDIO:
        options, rate, packets = AUDIO[codec]
        packet = rng.choice(packets)
        samples = rate * packet // 1000
        pitch, noise = rng.randint(90, 250), rng.uniform(0.01, 0.3)
        # Syllables a few times a second, over a noise of the room.
        talking = f"gt(sin(2*PI*{rng.uniform(0.8, 4):.2f}*t)\\,{rng.uniform(-0.9, 0.3):.2f})"
        voice = f"(sin(2*PI*{pitch}*t)+{noise:.2f}*random(0))*{talking}"
        # ffmpeg keeps its pace by what its source hands over at once: one packet's worth.
        source = ["-i", f"aevalsrc={voice}:s={rate}:n={samples}", "-ac", "1", *options]
        if codec == "opus":
            source += ["-frame_duration", str(packet), "-b:a", f"{rng.choice((12, 20, 32, 64))}k"]
            source += ["-vbr", rng.choice(("on", "off"))]
        # ffmpeg would fill its packets to the limit with the codecs that have one byte or less a sample.
        size = {"pcmu": samples, "pcma": samples, "g722": samples // 2}.get(codec, 1200) + 12
    else:
        fps = rng.choice((10, 15, 25))
        shape = rng.choice(("160x120", "320x240", "640x360"))
        source = ["-i", f"{rng.choice(('testsrc2', 'mandelbrot'))}=size={shape}:rate={fps}", *VIDEO[codec]]
        source += ["-b:v", f"{rng.choice((100, 250, 600))}k", "-g", str(rng.choice((10, 50)))]
        size = rng.choice((1000, 1200, 1400))
    target = f"rtp://{peer}:{ports[1]}?localrtpport={ports[0]}&pkt_size={size}"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-re", "-f", "lavfi", *source]
    return [*command, "-t", f"{seconds:.2f}", "-f", "rtp", target]
