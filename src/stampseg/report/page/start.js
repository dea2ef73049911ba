if (run.rounds.length) {
  startNetwork();
  startCharts();
  const chosen = run.rounds.findIndex((round) => round.number === run.chosen);
  showRound(chosen >= 0 ? chosen : run.rounds.length - 1);
}
startCases();
startCopy();
