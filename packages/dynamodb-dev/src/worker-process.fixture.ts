// Owns a worker that beats, tells its time, and answers questions about it.
const beat = () =>
  process.send?.({
    beat: true,
    now: Date.now(),
    date: new Date().toISOString(),
    text: String(Date()).slice(0, 15),
  })

process.on("message", (message: { die?: boolean }) => {
  if (message.die) throw new Error("a crash that the test asked for")
})
beat()
setInterval(beat, 5)
