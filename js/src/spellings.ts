/** Spellings of the emotions, from phonemo/labels.py; written by tests/js/make_spellings.py. */
export const SPELLINGS: Record<string, string> = {
  "anger": "ang angry wut wütend wuetend ärger aerger verärgert veraergert zorn zornig rabbia arrabbiato arrabbiata ira enojo enojado enojada enfado enfadado enfadada colère colere en_colère fâché gniew złość zlosc zły raiva zangado zangada 生气 愤怒 生氣 憤怒 гнев злость ghussa gussa öfke öfkeli kızgın kizgin 怒り 분노 화남 गुस्सा क्रोध غضب",
  "boredom": "bor bored boring langeweile gelangweilt noia annoiato annoiata aburrimiento aburrido aburrida ennui nuda znudzenie tédio tedio 无聊 厌倦 無聊 скука 退屈 지루함",
  "calm": "cal calmness ruhig ruhe gelassen calma calmo tranquillo tranquilla tranquillità tranquilo calme spokój spokoj spokojny 平静 平靜 спокойствие sukoon",
  "disgust": "dis disg disgusted ekel angeekelt disgusto disgustato disgustata schifo asco dégoût degout dégoûté wstręt wstret obrzydzenie nojo 厌恶 厭惡 恶心 отвращение iğrenme tiksinme 嫌悪 혐오 اشمئزاز",
  "excited": "exc excite excitement aufgeregt aufregung begeistert eccitato eccitazione emocionado excitation excité podekscytowanie podekscytowany 兴奋 興奮 激动",
  "fear": "fea fearful afraid scared angst furcht ängstlich aengstlich verängstigt paura impaurito spaventato miedo temor asustado peur effrayé strach lęk medo 恐惧 害怕 恐懼 страх khauf khof korku korkmuş 恐怖 恐れ 두려움 공포 डर भय خوف",
  "frustration": "fru frustrated frustriert frustrazione frustrato frustración frustracion frustrado frustré frustracja frustração 沮丧 沮喪 挫败 фрустрация",
  "happiness": "hap happy joy joyful joyous glücklich gluecklich freude froh fröhlich froehlich gioia felicità felicita felice alegría alegria alegre felicidad feliz joie joyeux joyeuse heureux heureuse bonheur radość radosc szczęście szczescie szczęśliwy felicidade 高兴 快乐 开心 高興 快樂 開心 喜悦 радость счастье khushi mutlu mutluluk 喜び 幸せ 행복 기쁨 खुशी सुख سعادة فرح",
  "neutral": "neu neut ntr neutrality no_emotion neutrale neutralità neutralita neutro neutra neutre neutralny neutralność neutralnosc 中性 中立 нейтрально нейтральный нейтральная nötr notr 中立的 중립 तटस्थ محايد",
  "other": "oth others andere sonstige altro altri otro otra autre inne outro outra 其他 其它 другое",
  "sadness": "sad sorrow trauer traurig traurigkeit tristezza triste tristeza tristesse smutek smutny smutna 悲伤 难过 伤心 悲傷 難過 傷心 грусть печаль udaas udasi üzgün üzüntü uzgun 悲しみ 슬픔 दुख उदास حزن",
  "surprise": "sur surp surprised ps pleasant_surprise pleasant_surprised astonished astonishment überraschung ueberraschung überrascht ueberrascht erstaunt sorpresa sorpreso sorprendido sorprendida étonnement surpris zaskoczenie zdziwienie zaskoczony surpresa surpreso 惊讶 惊奇 吃惊 驚訝 удивление hairat şaşkın şaşkınlık saskin 驚き 놀람 आश्चर्य دهشة"
}
