// Owns a worker that beats, tells its time, and dies when it is told to. With the argument "listen", it beats when asked only.
const beat = () =>
  process.send?.({
    beat: true,
    now: Date.now(),
    date: new Date().toISOString(),
    text: String(Date()).slice(0, 15),
  })

process.on("message", (message: { die?: boolean; beat?: boolean }) => {
  if (message.beat) beat()
  if (message.die) throw new Error("a crash that the test asked for")
})
beat()
if (process.argv[2] !== "listen") setInterval(beat, 5)
